"""Which network addresses a request may reach.

A provider's response names URLs, and so do redirects. None of them may lead a request into the
network of the user: the guard lets a connection through to a public address, and to another
address only if a URL that the user configured is at an address of the same kind. It checks the
address of each connection, not the name, so that a name whose address changes does not help.
Behind a proxy the proxy connects, to an address that it looks up itself; there a name is refused
that leads inside as far as this machine knows.
"""

from __future__ import annotations

import socket
from functools import partialmethod
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from urllib3.connection import HTTPConnection

Kind = Literal["public", "loopback", "private", "link-local", "metadata", "reserved"]

# Cloud providers serve the credentials of a machine at these addresses.
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",  # tasks on Amazon ECS
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure; the address is otherwise public
            "fd00:ec2::254",  # Amazon EC2
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
_NAT64 = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))
_IPV4_COMPATIBLE = ip_network("::/96")
_IPV4_MASK = 0xFFFF_FFFF


class InsideAddressError(OSError):
    """A connection to an address that is not public, which nothing in the configuration names."""


class AddressGuard:
    """Decides whether a connection may be made.

    Args:
        trusted_urls: Returns the URLs that the user configured, the provider's base URL first of
            all. It is called only for an address that is not public, and behind a proxy.
    """

    def __init__(self, trusted_urls: Callable[[], Iterable[str]] = tuple) -> None:
        self._trusted_urls = trusted_urls
        self._kinds: frozenset[Kind] = frozenset({"public"})
        self._proxied_origins: set[str] = set()  # that were checked
        self._classes: dict[type[HTTPConnection], type[HTTPConnection]] = {}

    def check_address(self, address: str) -> None:
        """Raise an ``InsideAddressError`` unless the IP address may be connected to."""
        kind = classify_address(address)
        if kind in self._kinds:
            return
        # Not before it matters: it resolves the names of the URLs. The networks of a laptop
        # change, so the kinds are read again for each unknown one.
        self._kinds |= {found for url in self._trusted_urls() for found in _url_kinds(url)}
        if kind not in self._kinds:
            raise InsideAddressError(f"its address {address} is not public ({kind})")

    def needs_lookup(self, origin: str) -> bool:
        """Whether ``check_proxied`` has not passed an origin yet, and may block."""
        return origin not in self._proxied_origins

    def check_proxied(self, origin: str) -> None:
        """Check an origin that a proxy connects to; blocks while its name is looked up.

        A configured host is not looked up, and a name passes that only the proxy can resolve: in
        many networks with a proxy the machines themselves resolve no public names.
        """
        host = _read_host(origin)
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
            self.check_address("127.0.0.1")
        is_configured = host in map(_read_host, self._trusted_urls())
        for address in _resolve(host, socket.AI_NUMERICHOST if is_configured else 0):
            self.check_address(address)
        self._proxied_origins.add(origin)

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an entry of ``getaddrinfo`` that may be connected to."""
        family, kind, protocol, _, target = info
        self.check_address(target[0])
        return socket.socket(family, kind, protocol)

    def guard_class(self, base: type[HTTPConnection]) -> type[HTTPConnection]:
        """Return a connection class of urllib3 that connects only to addresses that it checked."""
        if base not in self._classes:
            members = {"_new_conn": partialmethod(_connect, self, base)}
            self._classes[base] = type(f"Guarded{base.__name__}", (base,), members)
        return self._classes[base]


def _connect(connection: Any, guard: AddressGuard, base: type[HTTPConnection]) -> socket.socket:
    """Resolve the name of a host once, and connect to the first address that can be used."""
    name = connection._dns_host  # noqa: SLF001 - what urllib3 connects to
    failure: Exception | None = None
    try:
        for address in _resolve_name(name, connection.port):
            try:
                guard.check_address(address)
                connection._dns_host = address  # noqa: SLF001
                connected: socket.socket = base._new_conn(connection)  # noqa: SLF001
            except (InsideAddressError, NewConnectionError, ConnectTimeoutError) as error:
                failure = failure or error
            else:
                return connected
    except socket.gaierror as error:
        raise NameResolutionError(name, connection, error) from error
    finally:
        connection._dns_host = name  # noqa: SLF001 - TLS and the header Host need the name
    raise failure or NewConnectionError(connection, "the name has no address")


def classify_address(address: str) -> Kind:
    """Return the kind of an IP address; an IPv4 address inside an IPv6 address counts."""
    ip = _unwrap(ip_address(address.partition("%")[0]))
    if ip in _METADATA:
        return "metadata"
    if ip.is_loopback or ip.is_unspecified:  # 0.0.0.0 connects to this machine
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    is_special = ip.is_multicast or ip.is_reserved or (ip.version == 6 and ip.is_site_local)
    if ip.is_global and not is_special:
        return "public"
    return "private" if _is_network_address(ip) else "reserved"


def _is_network_address(ip: IPv4Address | IPv6Address) -> bool:
    """Whether organisations use the address for their own machines."""
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    return any(ip in ip_network(network) for network in networks)


def _unwrap(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to, if it leads to one."""
    if isinstance(ip, IPv4Address):
        return ip
    if any(ip in network for network in _NAT64):
        return IPv4Address(int(ip) & _IPV4_MASK)
    if ip in _IPV4_COMPATIBLE and int(ip) > 1:  # 0 and 1 are the unspecified address and loopback
        return IPv4Address(int(ip) & _IPV4_MASK)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def _url_kinds(url: str) -> set[Kind]:
    return {classify_address(address) for address in _resolve(_read_host(url))}


def _read_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _resolve(host: str, flags: int = 0) -> list[str]:
    try:
        return _resolve_name(host, None, flags)
    except OSError:
        return []


def _resolve_name(host: str, port: int | None, flags: int = 0) -> list[str]:
    """Return the addresses of a name, each once, in the order of the resolver.

    Raises:
        OSError: The name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return list(dict.fromkeys(str(target[0]) for *_, target in found))
