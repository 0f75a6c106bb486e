"""Reads the feed ahead of what sends it."""

from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection
from psycopg.rows import args_row

from eventstore import feed
from eventstore.kafka.messages import ROW, Row

BATCH = 2000
"""Most events that are read at once."""


class Reader:
    """Reads the feed one batch ahead, in a thread of its own, while the last one is being sent."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="relay-reader")
        self._ahead: Future[tuple[list[Row], int]] | None = None

    def next(self) -> tuple[list[Row], int]:
        """The next rows, none when there are none now, and the position up to which they are all."""
        if self._ahead is None:
            self._ahead = self._pool.submit(self._read, self._position)
        rows, reached = self._ahead.result()
        self._position = reached
        self._ahead = self._pool.submit(self._read, reached) if rows else None
        return rows, reached

    def close(self) -> None:
        self._pool.submit(lambda: connection.close())  # the thread's own: the name means another in each thread
        self._pool.shutdown(wait=True)

    @staticmethod
    def _read(after: int) -> tuple[list[Row], int]:
        try:
            upto = feed.mark()
            if upto <= after:
                return [], after
            return feed.read_rows(ROW, after=after, upto=upto, limit=BATCH, row_factory=args_row(Row))
        except Exception:
            connection.close()
            raise
