"""Which addresses a webhook may have. A client that names one makes the bank's own machine connect to it.

A URL is read strictly when a webhook is made. Its host is resolved at each sending, once, every address is checked,
and the connection goes to a checked address: a name that points elsewhere a moment later (DNS rebinding) changes
nothing.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from ops.conf import get_settings

MAX_URL_LENGTH = 2000
MOST_ADDRESSES = 4
"""Of one host, tried in the resolver's order."""

_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LOOKS_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
"""By its last label, as WHATWG's URL standard tells: resolvers take 127.1 and 0x7f000001 for addresses."""
_LOCAL_NAMES = re.compile(r"(.*\.)?(localhost|localdomain|local|internal|intranet|lan|home|corp)|[^.]*")

GLOBAL_IPV6 = IPv6Network("2000::/3")
RELAYS = (IPv6Network("2002::/16"), IPv4Network("192.88.99.0/24"))
"""6to4: an IPv4 address, perhaps a private one, inside an address that looks global."""

Address = IPv4Address | IPv6Address


class AddressRefused(Exception):
    """Nothing is sent there. The message says why and what would do; the client may read it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart. `path` holds the query too."""

    secure: bool
    host: str
    port: int
    path: str


def parse(url: str) -> Target:
    """Where a URL leads, if a webhook may have it. Names are not resolved here.

    Raises:
        AddressRefused: it is not a plain HTTPS URL on a permitted port, or names this network in so many words.
    """
    settings = get_settings()
    if len(url) > MAX_URL_LENGTH or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise AddressRefused(
            f"Write the URL in up to {MAX_URL_LENGTH} visible ASCII characters (a name in Punycode)."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused("This is not a URL.") from None
    if parts.scheme not in (("https", "http") if settings.webhook_allow_http else ("https",)):
        raise AddressRefused("The URL must begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The URL must hold no user name or password: check the signature instead.")
    if "#" in url:
        raise AddressRefused("The URL must have no fragment (#...): it would not be sent.")
    secure = parts.scheme == "https"
    port = (443 if secure else 80) if port is None else port
    if port not in settings.webhook_allowed_ports:
        permitted = ", ".join(map(str, settings.webhook_allowed_ports))
        raise AddressRefused(f"Port {port} is not permitted; these are: {permitted}.")
    _check_host(host)
    return Target(secure, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def resolve(target: Target) -> list[str]:
    """The IP addresses of the target's host, all of them checked. May take as long as the machine's resolver does.

    Raises:
        AddressRefused: one of them is not permitted: then none is used.
        OSError: the name does not resolve.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    for address in addresses:
        require_permitted(ip_address(address))
    return addresses[:MOST_ADDRESSES]


def require_permitted(address: Address) -> None:
    """
    Raises:
        AddressRefused: the address is not one of the public Internet, and private ones are not permitted.
    """
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise AddressRefused(f"{address} is no address of one machine.")
    if not is_public(address) and not get_settings().webhook_allow_private_addresses:
        raise AddressRefused(f"{address} does not lie in the public Internet.")


def is_public(address: Address) -> bool:
    """Reachable from anywhere: not private, loopback, link-local, shared (CGNAT), reserved, for documentation, ..."""
    if isinstance(address, IPv6Address) and address not in GLOBAL_IPV6:
        return False
    return address.is_global and not any(address in relay for relay in RELAYS)


def _check_host(host: str) -> None:
    try:
        require_permitted(ip_address(host))
    except ValueError:
        pass
    else:
        return
    if ":" in host or _LOOKS_NUMERIC.fullmatch(host.rstrip(".")):
        raise AddressRefused("Write an IP address in its usual form: four decimal numbers, or IPv6 in brackets.")
    if not _HOST.fullmatch(host.rstrip(".")):
        raise AddressRefused("The URL names no host.")
    if _LOCAL_NAMES.fullmatch(host.rstrip(".")) and not get_settings().webhook_allow_private_addresses:
        raise AddressRefused("The host must be one of the public Internet, with its full name.")
