"""How a worker of the web server leaves while others serve: it accepts nobody, and answers before it hangs up."""

import os
import socket
import stat
from typing import Any

Headers = list[tuple[str, str]]


class Last:
    """A connection that ends with the answer to this request. (What a client sends on one that is closed at any other
    moment may be lost.)"""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __call__(self) -> Any:
        return self._protocol()

    def __aiter__(self) -> Any:
        return self._protocol.__aiter__()

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        self._protocol.response_bytes(status, _with_end(headers), body)

    def response_stream(self, status: int, headers: Headers) -> Any:
        return self._protocol.response_stream(status, _with_end(headers))


def _with_end(headers: Headers) -> Headers:
    return [*(pair for pair in headers if pair[0].lower() != "connection"), ("connection", "close")]


def accept_no_more() -> None:
    """Has the sockets of this process that listen lead nowhere: who connects is left to other processes that have
    them too. Granian stops accepting only when it closes what it has accepted."""
    nowhere = socket.socket(socket.AF_UNIX)
    nowhere.bind("")  # the kernel finds it a name
    nowhere.listen()
    nowhere.setblocking(False)
    for number in map(int, os.listdir("/proc/self/fd")):
        if _listens(number) and number != nowhere.fileno():
            os.dup2(nowhere.fileno(), number, inheritable=False)


def _listens(number: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return False
        with socket.socket(fileno=os.dup(number)) as found:
            return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # it is closed by now
        return False
