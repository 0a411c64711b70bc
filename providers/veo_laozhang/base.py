"""What both routes share: the connection, the models, downloads, and the ping."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from veo.errors import ConfigError, KeyMissingError, ProtocolError
from veo.wire.values import get_path, get_text, parse_json_or_none
from veo_laozhang.error_table import get_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.key import Key
    from veo.model import Model, ProviderFacts
    from veo.provider import ByteStream, Connection
    from veo.update import RemoteVideo

# Long, because a paid POST whose late response is lost may have been charged.
READ_TIMEOUT_S = 120.0


class LaoZhangProvider:
    """Base class of LaoZhang's two routes.

    Options of the configuration: ``connect_s`` and ``read_s``, the seconds to wait for a
    connection and for a response.
    """

    facts: ClassVar[ProviderFacts]

    def __init__(self, connection: Connection) -> None:
        from veo.http import ApiClient  # noqa: PLC0415 - takes 90 ms, which facts about models do not need

        key = _check_key(connection.key, self.facts)
        self.name = self.facts.name
        self.models: Mapping[str, Model] = connection.models
        self._http = ApiClient(
            connection.base_url,
            auth={"Authorization": f"Bearer {key.reveal()}"},
            key=key,
            connect_s=read_seconds(connection, "connect_s", 10.0),
            read_s=read_seconds(connection, "read_s", READ_TIMEOUT_S),
        )

    def open(self, video: RemoteVideo, offset: int = 0) -> ByteStream:
        """Return the bytes of a finished video; see ``veo_laozhang.files.open_file``."""
        from veo_laozhang.files import open_file  # noqa: PLC0415 - as above

        return open_file(self._http, video.uri, offset)

    def ping(self) -> str:
        """Return how many models the service lists, and which of them are supported."""
        names = self.list_models()
        offered = [name for name in names if name in self.models]
        return (
            f"the key is accepted; {len(names)} models, "
            f"of which supported: {', '.join(offered) or 'none'}"
        )

    def list_models(self) -> list[str]:
        """Return the names that ``GET /models`` lists for the key; this is free."""
        response = self._http.get("models")
        listed = get_path(parse_json_or_none(response.body), "data")
        if not response.ok:
            raise get_error(response)
        if not isinstance(listed, list):
            raise ProtocolError("the response is not a list of models", hint="Check base_url.")
        return sorted(get_text(get_path(row, "id")) for row in listed)


def read_seconds(connection: Connection, option: str, default: float) -> float:
    """Return a time of the configuration, seconds."""
    value = connection.options.get(option, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"{option} = {value!r} is not a positive number of seconds")
    return float(value)


def _check_key(key: Key | None, facts: ProviderFacts) -> Key:
    if key is None:
        raise KeyMissingError(
            f"no API key for {facts.name}: set {' or '.join(facts.key_env)}", hint=facts.key_help
        )
    if not re.fullmatch(r"[\x21-\x7e]+", key.reveal()):
        raise ConfigError(
            f"the API key for {facts.name} contains characters that an HTTP header cannot hold",
            hint=facts.key_help,
        )
    return key
