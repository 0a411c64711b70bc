"""Connections to buckets: their server, the proxy and the certificates, and why they fail."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from veo.errors import OutputError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CONNECT_S, _TRANSFER_S, _RETRY_S = 10, 600, 120
_MAX_RETRIES = 5
_XML_ERROR = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")
_MAX_REASON_CHARS = 200
_GOOGLE_ENDPOINT = re.compile(r'"gcs_base_url":\s*"([^"]+)"')  # in the key of an emulator
# The addresses from which machines in a cloud get their role; only they themselves reach these.
_METADATA_HOSTS = "169.254.0.0/16,fd00:ec2::/32,metadata.google.internal"
# No option means no proxy: without `proxy_url` the library reads the environment itself.
_NO_PROXY = {"proxy_url": "http://127.0.0.1:9", "proxy_excludes": "*,0.0.0.0/0,::/0"}


class BucketError(OutputError, OSError):
    """A bucket cannot be read or written."""


def unavailable_error(bucket: str, error: Exception) -> BucketError:
    from veo import network  # noqa: PLC0415 - loaded by now

    if "InvalidCertificate" in str(error):
        hint = network.certificate_hint()
        return BucketError(f"the certificate of {bucket} is not trusted", hint=hint)
    proxy = network.proxy_name(_server_url(bucket))
    way = f" through the proxy {proxy}" if proxy else ""
    return BucketError(f"{bucket} is not available{way}: {find_reason(error)}")


def find_reason(error: Exception) -> str:
    text = str(error)
    if match := _XML_ERROR.search(text):
        return f"{match[2]} ({match[1]})"[:_MAX_REASON_CHARS]
    if match := _STATUS.search(text):
        return f"HTTP {match[1]}"
    for line in ("error sending request", "HTTP error", "timed out", "dns error", "builder error"):
        if line in text:
            return line
    return type(error).__name__


@cache
def open_store(bucket: str) -> ObjectStore:
    import_obstore()
    from obstore.store import from_url  # noqa: PLC0415 - an extra

    options: dict[str, Any] = {
        "client_options": _client_options(bucket, _server_url(bucket)),
        "retry_config": {"max_retries": _MAX_RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)},
    }
    if bucket.startswith("s3") and os.environ.get("AWS_PROFILE"):
        options["credential_provider"] = _read_profile()
    try:
        return from_url(bucket, **options)
    except Exception as error:  # noqa: BLE001 - the library has no class for a wrong setting
        reason = str(error).partition("\n")[0][:_MAX_REASON_CHARS]
        raise BucketError(f"{bucket} cannot be used: {reason}") from None


def _server_url(bucket: str) -> str:
    """Return the URL of an address that the user has set, or that of the vendor."""
    if bucket.startswith("s3"):
        region = os.environ.get("AWS_REGION", "us-east-1")
        return os.environ.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"
    match = _GOOGLE_ENDPOINT.search(os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", ""))
    return match[1] if match else "https://storage.googleapis.com"


def _client_options(bucket: str, server: str) -> dict[str, Any]:
    """Return the options of the library's HTTP client, with the proxy and the certificates.

    It has its own rules for the environment, which ignore some variables, a port in ``NO_PROXY``,
    and a proxy that it cannot use.
    """
    from veo import network  # noqa: PLC0415 - imports requests, which only this needs

    proxy = network.find_proxy(server)
    if proxy and not proxy.startswith(("http://", "https://")):
        raise BucketError(
            f"{bucket} cannot be reached through the proxy {network.proxy_name(server)}: "
            "files in buckets need an HTTP proxy",
            hint="HTTPS_PROXY names one, and NO_PROXY the hosts without a proxy.",
        )
    try:
        certificates = network.read_certificates()
    except network.MissingCertificatesError as error:
        raise BucketError(str(error), hint=network.certificate_hint()) from None
    return {
        "connect_timeout": timedelta(seconds=_CONNECT_S),
        "timeout": timedelta(seconds=_TRANSFER_S),
        "allow_http": server.startswith("http://"),  # at an address of the user only
        "user_agent": network.user_agent(),
        "root_certificate": certificates,
        "disable_system_certificates": True,
        **({"proxy_url": proxy, "proxy_excludes": _METADATA_HOSTS} if proxy else _NO_PROXY),
    }


def _read_profile() -> Any:
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - an extra
    except ImportError:
        raise BucketError(
            "AWS_PROFILE is set, and reading profiles needs another package",
            hint="Install it: pip install boto3",
        ) from None
    return Boto3CredentialProvider()


def import_obstore() -> Any:
    try:
        import obstore  # noqa: PLC0415 - an extra
    except ImportError:
        raise BucketError(
            "s3:// and gs:// need another package",
            hint="Install it: pip install 'veo-video[buckets]'",
        ) from None
    return obstore
