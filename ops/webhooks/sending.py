"""One HTTP request to a receiver whom nobody trusts: to a checked address, within a time, and no more of the answer
than is wanted. No redirect is followed, no proxy of the environment is used, no connection is kept."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import structlog

from ops.conf import get_settings
from ops.webhooks import addresses
from ops.webhooks.addresses import AddressRefused, Target

log = structlog.get_logger(__name__)

ANSWER_BYTES = 1024
"""Of the answer's body, kept for the log."""
GONE = 410


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one try. `status` is None where no answer came, and then `error` says why. `retry_after`: the
    seconds for which the receiver asked to be left alone, 0 where it did not."""

    seconds: float
    address: str = ""
    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants no more."""
        return self.status == GONE


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Result:
    """Sends one POST; every failure is a result, none is raised."""
    began = time.monotonic()
    address = ""
    try:
        target = addresses.parse(url)
        sock, address = _connect(target, began)
        with sock:
            status, answer, retry_after = _exchange(sock, target, body, headers)
    except AddressRefused as refusal:
        return Result(time.monotonic() - began, error=f"Not sent: {refusal}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Result(time.monotonic() - began, address, error=_in_words(error))
    except Exception as error:  # a mistake of ours; unless it counts as a try, it is made again without an end
        log.exception("webhook_not_posted")
        return Result(time.monotonic() - began, address, error=_in_words(error))
    remark = f"Redirects are not followed ({status})." if 300 <= status < 400 else ""
    return Result(time.monotonic() - began, address, status, remark, answer, retry_after)


def _connect(target: Target, began: float) -> tuple[socket.socket, str]:
    """A connection to the first checked address that takes it, with TLS where the URL asks for it."""
    most = get_settings().webhook_connect_timeout
    failure: OSError = TimeoutError(f"no connection within {most} s")
    for address in addresses.resolve(target):
        left = began + most - time.monotonic()
        if left <= 0:
            break
        try:
            sock = socket.create_connection((address, target.port), timeout=left)
        except OSError as error:
            failure = error
            continue
        return (_with_tls(sock, target, began + most) if target.secure else sock), address
    raise failure


def _with_tls(sock: socket.socket, target: Target, deadline: float) -> socket.socket:
    try:
        sock.settimeout(max(0.1, deadline - time.monotonic()))  # of the whole handshake
        return _tls(get_settings().webhook_ca_location).wrap_socket(sock, server_hostname=target.host.rstrip("."))
    except BaseException:
        sock.close()
        raise


@lru_cache(maxsize=4)
def _tls(ca_location: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_location:
        context.load_verify_locations(ca_location)
    return context


def _exchange(sock: socket.socket, target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, float]:
    kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    connection.sock = sock
    connection.auto_open = 0  # never to an address that was not checked
    with _ends_within(sock, get_settings().webhook_timeout):
        connection.request("POST", target.path, body, {**headers, "Connection": "close"})
        response = connection.getresponse()
        return response.status, _first_bytes(response), _seconds_asked_for(response.getheader("Retry-After", ""))


def _seconds_asked_for(retry_after: str) -> float:
    """What the header says, in seconds or as a date (RFC 9110); 0 where it says neither, or a moment that is over."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError, TypeError):
        return 0.0
    if moment.tzinfo is None:  # "-0000"
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _first_bytes(response: http.client.HTTPResponse) -> str:
    try:
        start = response.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError):
        return ""  # the status has come: that is the answer
    return start.decode(errors="replace").replace("\0", "�")


@contextmanager
def _ends_within(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Cuts the connection when the time is over: the socket's own limit is of each read, which a drip would outlast.

    Raises:
        TimeoutError: it was cut.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's, which would take its state away
        except OSError:
            return

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    sock.settimeout(seconds)
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if over.is_set() or isinstance(error, TimeoutError):
            raise TimeoutError(f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()


def _in_words(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "The receiver closed the connection without an answer."
    if isinstance(error, socket.gaierror):
        return f"The host name does not resolve: {error.strerror}."
    if isinstance(error, http.client.HTTPException):
        return f"The answer is not HTTP: {type(error).__name__}."
    return f"{type(error).__name__}: {error}"[:500].replace("\0", "")
