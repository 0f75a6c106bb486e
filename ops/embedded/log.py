"""One stream of lines for all processes: `2026-11-23T15:04:05Z web       | line`.

Writers never wait for the terminal: lines go through a bounded queue, and when it is full they are dropped
and counted. A terminal held with Ctrl-S can so neither stop the bank nor keep it from being stopped.
"""

import queue
import threading
from datetime import UTC, datetime
from typing import TextIO

QUEUE_LINES = 10_000
LONGEST_LINE = 8192
"""Bytes after which a child's line is continued on the next one."""


def format_line(moment: datetime, source: str, text: str) -> str:
    """One line of the log; the moment is given in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {source:<9} | {text}"


class Log:
    """Writes lines to `stream` from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self.reader_is_gone = False
        """True once whoever read the stream closed it (a pipe into `head`, a closed terminal)."""
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def line(self, source: str, text: str) -> None:
        self.plain(format_line(datetime.now(UTC), source, text))

    def plain(self, text: str) -> None:
        """A line without time and source, meant for the person at the terminal."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def flush(self, seconds: float = 1.0) -> None:
        """Wait until what was said so far is written, at most `seconds`."""
        waiting = threading.Thread(target=self._lines.join, daemon=True)
        waiting.start()
        waiting.join(seconds)

    def close(self, seconds: float = 1.0) -> None:
        """Write what is left, giving up on a stuck terminal after `seconds`."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._put(format_line(datetime.now(UTC), "launcher", f"{dropped} lines were dropped"))
            self._put(text)
            self._lines.task_done()

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self.reader_is_gone = True
        except (OSError, ValueError):
            return  # a full disk or a closed terminal costs log lines, never the bank
