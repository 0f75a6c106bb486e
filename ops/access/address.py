"""Where a request comes from."""

from functools import lru_cache
from ipaddress import ip_address

from django.http import HttpRequest

from ops.conf import get_settings


def client_address(request: HttpRequest) -> str:
    """The IP address of the caller, or "" where there is none (a Unix socket).

    X-Forwarded-For counts only as far as our own proxies wrote it (TRUSTED_PROXIES of them, each appending the
    address it was called from): whatever a caller puts in front of that is ignored.
    """
    direct = request.META.get("REMOTE_ADDR", "")
    proxies = get_settings().trusted_proxies
    if proxies:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= proxies and (address := _as_address(hops[-proxies])):
            return address
    return _as_address(direct)


@lru_cache(maxsize=1024)
def _as_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
