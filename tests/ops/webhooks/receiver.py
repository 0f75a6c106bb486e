"""A receiver of webhooks: a real HTTP server on the loopback, which can be told to misbehave."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


class Receiver:
    """`answers` are used up one for each request; then `always` answers (204 unless it is told otherwise)."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.always: Answer = status(204)
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        with self._lock:
            self.received.append(Received(request.path, dict(request.headers), body, time.monotonic()))
            answer = self.answers.pop(0) if self.answers else self.always
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer(request)
        except OSError:
            pass  # the sender had enough
        finally:
            with self._lock:
                self.under_way -= 1

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def wait_for(self, count: int, seconds: float = 20) -> list[Received]:
        deadline = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.received) >= count, f"{len(self.received)} of {count} requests came"
        return self.received


def status(code: int, body: bytes = b"", headers: dict[str, str] | None = None, after: float = 0.0) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        time.sleep(after)
        request.send_response(code)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def close_early(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def drip(request: BaseHTTPRequestHandler) -> None:
    """A status line that never ends: a byte now and then, each well within any limit of a single read."""
    for _ in range(200):
        request.wfile.write(b"H")
        request.wfile.flush()
        time.sleep(0.1)


def endless(request: BaseHTTPRequestHandler) -> None:
    """Ends when the sender has had enough."""
    request.send_response(200)
    request.send_header("Content-Length", str(10**12))
    request.end_headers()
    while True:
        request.wfile.write(b"x" * 65_536)


def not_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def receiving(port: int, **options: Any) -> Iterator[Receiver]:
    receiver = Receiver(port, **options)
    try:
        yield receiver
    finally:
        receiver.close()


def certificate_for(name: str, folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-made certificate's file, and a server's context with it."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}"
    subprocess.run(
        [*command.split(), "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", made],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context
