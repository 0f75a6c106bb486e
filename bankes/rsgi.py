"""What Granian's event loop calls: requests are received here, and those that the fast lane does not answer go to a
thread when they have come whole.

So a sender that is slow or falls silent holds no thread. (Behind Granian's own WSGI a handful of silent senders held
all sixteen, and a read that was given up stopped its process for as long as that sender stayed.) Bodies up to
`HELD_BODY` are read first; longer ones, and those of imports, are streams that the application reads piece by piece.
Imports have places of their own: who sends one has a key before it is read, while a long form is read from anybody.

An answer goes out as fast as it is made: Granian keeps what its receiver has not taken yet. Only exports stream, and
EXPORT_MAX_ROWS bounds them.
"""

import asyncio
import io
import math
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from granian.rsgi import ProtocolClosed

from bankes.wsgi import application as wsgi_application  # isort: skip - sets Django up, for what follows

from accounts.api.fastlane import FastLane
from accounts.api.outright import Environ, refused
from accounts.api.parsers import LinesParser
from accounts.domain.errors import ErrorCode
from bankes.leaving import Last, accept_no_more
from bankes.server import LEAVE
from ops.access.checks import KeyChecks
from ops.access.share import NoTurn, Share, Shares
from ops.conf import get_settings

THREADS = 8
"""Of each process, for requests that have come. With those of `ops.access.checks`, `accounts.services.coalescing` and
`accounts.reading` they are no more than the database pool holds (POOL_MAX_CONNECTIONS, by default)."""
THREADS_PER_CLIENT = max(1, THREADS - 3)
"""Of one API client: what it waits for, like a lock, leaves threads to others."""
HELD_BODY = 1024 * 1024
"""Bytes; a longer body is a stream."""
HELD_AT_ONCE = 64 * 1024 * 1024
"""Bytes of bodies that have come and are worked on or wait for a thread, in a process."""
STREAMS = 3
"""Imports at once in a process, and as many other long bodies. Each takes a thread for as long as it comes: some of
THREADS are to be left."""
LONG_WITHIN = 4
"""Times BODY_READ_TIMEOUT, in all, for a long body to come. (IMPORT_TIME_LIMIT bounds an import.)"""
LOOK_EVERY = 1.0
"""Seconds between two looks for bodies that do not come."""
SEND_WITHIN = 60.0
"""Seconds for the event loop to take a piece of an answer."""
PIECE = 64 * 1024
"""Bytes of an answer that go out together, at least."""

T = TypeVar("T")
Headers = list[tuple[str, str]]


class Front:
    """An RSGI application (granian.readthedocs names its parts `scope` and `protocol`) around a WSGI one."""

    def __init__(self, application: Callable[..., Iterable[bytes]], *, fast_lane: bool) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        checks = KeyChecks()
        self._lane = FastLane(self._threads, checks) if fast_lane else None
        self._bounds = Bounds()
        self._shares = Shares(checks, threads=THREADS, threads_per_client=THREADS_PER_CLIENT)
        self._held = 0
        self._streams = Counter[bool]()  # by whether they are imports
        self._leaves = False

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Granian's first word, when a worker begins."""
        loop.add_signal_handler(LEAVE, self._leave)

    def _leave(self) -> None:
        self._leaves = True
        accept_no_more()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if self._leaves:
            protocol = Last(protocol)
        environ = environ_of(scope)
        length = _length(environ)
        if length == 0:
            await self._answer(environ, protocol, io.BytesIO())
        elif _media_type(environ) == LinesParser.media_type:
            await self._stream(environ, protocol, length, is_import=True)
        elif length > HELD_BODY:
            await self._stream(environ, protocol, length, is_import=False)
        else:
            await self._hold(environ, protocol)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Granian's last word, when a worker ends."""
        if self._lane is not None:
            self._lane.counted.write()

    async def _hold(self, environ: Environ, protocol: Any) -> None:
        try:
            body = await self._received(protocol)
        except ConnectionError as error:
            _refuse(environ, protocol, ErrorCode.MALFORMED_REQUEST, f"{error} Nothing was done.", closes=True)
            return
        if self._held + len(body) > HELD_AT_ONCE:  # what was only announced does not count: it costs nothing
            _refuse(environ, protocol, ErrorCode.OVERLOADED, "Too many requests are in hand. Nothing was done.")
            return
        self._held += len(body)
        try:
            await self._answer(environ, protocol, io.BytesIO(body))
        finally:
            self._held -= len(body)

    async def _received(self, protocol: Any) -> bytes:
        """
        Raises:
            ConnectionError: the body did not come, or not in time.
        """
        patience = get_settings().body_read_timeout
        try:
            body: bytes = await self._bounds.within(patience, protocol())
            return body
        except TimeoutError:
            raise ConnectionError(f"The body did not come within {patience} s.") from None
        except ProtocolClosed:
            raise ConnectionError("The connection broke before the end of the body.") from None

    async def _stream(self, environ: Environ, protocol: Any, length: int, *, is_import: bool) -> None:
        if self._streams[is_import] >= STREAMS:
            told = "Other long bodies are being received. Nothing was done."
            _refuse(environ, protocol, ErrorCode.OVERLOADED, told, closes=True)
            return
        self._streams[is_import] += 1
        patience = get_settings().body_read_timeout
        within = math.inf if is_import else LONG_WITHIN * patience
        try:
            await self._answer(environ, protocol, Stream(protocol, length, patience, within))
        finally:
            self._streams[is_import] -= 1

    async def _answer(self, environ: Environ, protocol: Any, body: Any) -> None:
        share = await self._shares.take(environ)
        if share is None:
            told = "As many requests of yours are in hand as may be."
            _refuse(environ, protocol, ErrorCode.TOO_MANY_REQUESTS, told, closes=isinstance(body, Stream))
            return
        try:
            await self._answer_one(environ, protocol, body, share)
        finally:
            self._shares.give_back(share)

    async def _answer_one(self, environ: Environ, protocol: Any, body: Any, share: Share) -> None:
        environ["wsgi.input"] = body
        if self._lane is not None and (answer := await self._lane.answer(environ, share)) is not None:
            protocol.response_bytes(*answer)
            return
        loop = asyncio.get_running_loop()
        try:
            async with share.thread():
                await loop.run_in_executor(self._threads, Answer(protocol, loop).give, self._application, environ)
        except NoTurn:
            told = "Its turn did not come in time. Nothing was done."
            _refuse(environ, protocol, ErrorCode.OVERLOADED, told, closes=isinstance(body, Stream))


def environ_of(scope: Any) -> Environ:
    """A request as PEP 3333 wants it, but for its body."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        **_SAME_FOR_ALL,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        key = _variable(name)
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        if key:
            environ[key] = value
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    return environ


_SAME_FOR_ALL: Environ = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


@lru_cache(maxsize=1024)
def _variable(header: str) -> str:
    """How a header is named in an environ; "" for one that is not heard: with an underscore it would pass for the one
    with a hyphen, which proxies set and clean."""
    key = header.upper().replace("-", "_")
    if "_" in header:
        return ""
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _media_type(environ: Environ) -> str:
    """That of the body, without parameters; upper and lower case mean the same."""
    media_type: str = environ.get("CONTENT_TYPE", "")
    return media_type.partition(";")[0].strip().lower()


def _length(environ: Environ) -> int:
    """That of the body; 0 where none is told, as a body of unknown length is read by nobody."""
    text = environ.get("CONTENT_LENGTH", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _refuse(environ: Environ, protocol: Any, code: ErrorCode, detail: str, *, closes: bool = False) -> None:
    """An answer that is given before the application is asked."""
    protocol.response_bytes(*refused(environ, code, detail, closes=closes))


class Bounds:
    """Ends what tasks wait for too long, at most `LOOK_EVERY` seconds late: a timer for each request, which is hardly
    ever needed, costs more than reading its headers."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._ended: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def within(self, seconds: float, what: Awaitable[T]) -> T:
        """
        Raises:
            TimeoutError: the time is up.
        """
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_EVERY, self._look, loop)
        self._until[task] = loop.time() + seconds
        try:
            return await what
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._until[task]
            self._ended.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, until in self._until.items():
            if now >= until and task not in self._ended:
                self._ended.add(task)
                task.cancel()
        self._looking = bool(self._until)
        if self._looking:
            loop.call_later(LOOK_EVERY, self._look, loop)


class Stream(io.RawIOBase):
    """A body that is read while it comes, from a thread; the `wsgi.input` of PEP 3333.

    Reading raises TimeoutError where the next piece did not come within `patience` seconds, or all pieces within
    `within`, and ConnectionError where the body ends too early; they say so, and what came before was read. Time in
    which nobody waits for a piece does not count.
    """

    def __init__(self, protocol: Any, length: int, patience: float, within: float) -> None:
        self._pieces = protocol.__aiter__()
        self._loop = asyncio.get_running_loop()
        self._missing = length
        self._patience = patience
        self._within = self._left = within
        self._rest = b""
        self._broken: OSError | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As many bytes as are asked for; fewer at the end, or where the rest does not come."""
        wanted = size if size >= 0 else len(self._rest) + self._missing
        pieces, got = [self._rest], len(self._rest)
        while got < wanted and self._missing and self._broken is None:
            try:
                piece = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            except OSError as error:
                self._broken = error
            else:
                pieces.append(piece)
                got += len(piece)
        if self._broken is not None and not got:
            raise self._broken
        came = b"".join(pieces)
        self._rest = came[wanted:]
        return came[:wanted]

    async def _next(self) -> bytes:
        began = self._loop.time()
        try:
            async with asyncio.timeout(min(self._patience, self._left)):
                piece = bytes(await anext(self._pieces))
        except TimeoutError:
            if self._left < self._patience:
                raise TimeoutError(f"The body did not come within {self._within} s.") from None
            raise TimeoutError(f"Nothing came for {self._patience} s.") from None
        except (StopAsyncIteration, ProtocolClosed):
            piece = b""
        if not piece:
            raise ConnectionError("The connection broke before the end of the body.")
        self._missing -= len(piece)
        self._left -= self._loop.time() - began
        return piece


class Answer:
    """What the application answers to one request, and how it goes out."""

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._protocol = protocol
        self._loop = loop
        self._status = 500
        self._headers: Headers = []

    def give(self, application: Callable[..., Iterable[bytes]], environ: Environ) -> None:
        """Asks the application, in a thread, and sends what it answers."""
        chunks = application(environ, self._start)
        try:
            pieces = _joined(chunks)
            first, second = next(pieces, b""), next(pieces, None)
            if second is None:
                self._protocol.response_bytes(self._status, self._headers, first)
                return
            transport = self._protocol.response_stream(self._status, self._headers)
            for piece in (first, second):
                self._send(transport, piece)
            for piece in pieces:
                self._send(transport, piece)
        finally:
            getattr(chunks, "close", lambda: None)()

    def _start(self, status: str, headers: Headers, exc_info: object = None) -> Callable[[bytes], None]:
        self._status, self._headers = int(status[:3]), headers
        return _write

    def _send(self, transport: Any, piece: bytes) -> None:
        async def send() -> None:
            async with asyncio.timeout(SEND_WITHIN):
                await transport.send_bytes(piece)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result()


def _write(_: bytes) -> None:
    raise NotImplementedError("the callable of start_response is for applications older than WSGI's iterables")


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces worth sending."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


application = Front(wsgi_application, fast_lane=get_settings().fast_lane)
