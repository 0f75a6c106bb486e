"""TCP ports on the loopback interface: which are free, and which were used the last time."""

import errno
import ipaddress
import socket
from collections.abc import Mapping

from ops.embedded.errors import Refusal

DEFAULT_WEB_PORT = 3000
LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    return _bind_error(host, port) is None


def kept_or_free(last: int | None, *taken: int) -> int:
    """The port of the last start when nobody took it meanwhile, else one that the kernel picks; never `taken`."""
    if last and last not in taken and is_free(last):
        return last
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def web_address(environment: Mapping[str, str]) -> tuple[str, int]:
    """HOST and PORT as the caller set them, by default 127.0.0.1 and 3000.

    Raises:
        Refusal: one of them makes no sense.
    """
    host = environment.get("HOST") or LOOPBACK
    host = LOOPBACK if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise Refusal(
            f"HOST is {host!r} and must be an address of this machine, such as 127.0.0.1 (only this machine) or "
            "0.0.0.0 (everybody): say for example `HOST=127.0.0.1 make run`."
        ) from None
    given = environment.get("PORT") or str(DEFAULT_WEB_PORT)
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 65536):
        raise Refusal(
            f"PORT is {given!r} and must be a number from 1 to 65535: say for example `PORT=3001 make run`."
        )
    return host, int(given)


def check_web_port(host: str, port: int) -> None:
    """Raises Refusal when the web server could not listen there."""
    error = _bind_error(host, port)
    if error is None:
        return
    other = port + 1 if port >= 1024 and port < 65535 else 3001
    if error.errno == errno.EADDRINUSE:
        raise Refusal(f"Port {port} is used by another program: stop it, or say `PORT={other} make run`.")
    if error.errno == errno.EACCES:
        raise Refusal(f"Only root may listen on port {port}: say `PORT={other} make run`.")
    raise Refusal(
        f"The web server cannot listen on {host} port {port} ({error.strerror}): set HOST and PORT otherwise."
    )


def _bind_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None
