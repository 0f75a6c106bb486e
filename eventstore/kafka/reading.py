"""Reads the feed ahead of what sends it."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection
from psycopg.rows import tuple_row

from eventstore import feed
from eventstore.kafka.messages import COLUMNS, Row

BATCH = 2000
"""Most events that are read at once."""
AHEAD = 6
"""Most batches that are read before the sender asks for them: what it needs while the brokers confirm a window."""
READERS = 2
"""Connections that read: PostgreSQL puts one batch together while the other is taken over."""
Batch = tuple[list[Row], int]


class Reader:
    """Reads the feed some batches ahead, in threads of its own, while earlier ones are sent and confirmed."""

    def __init__(self, position: int) -> None:
        self._asked = self._mark = position
        self._threads = deque(ThreadPoolExecutor(1, thread_name_prefix="relay-reader") for _ in range(READERS))
        self._ahead: deque[Future[Batch]] = deque()

    def next(self) -> Batch:
        """The next rows, none when there are none now, and the position up to which they are all."""
        if not self._ahead:
            self._mark = max(self._mark, feed.mark())
        self._get_ahead()
        while self._ahead:
            rows, reached = self._ahead.popleft().result()
            if rows:
                return rows, reached
            self._skip_hole(reached)
            self._get_ahead()
        return [], self._mark

    @property
    def is_level(self) -> bool:
        """Whether all was handed out that could be read when it last looked."""
        return not self._ahead

    def close(self) -> None:
        self._forget()
        for thread in self._threads:
            thread.submit(lambda: connection.close())  # the thread's own: the name means another in each thread
            thread.shutdown(wait=True)

    def _get_ahead(self) -> None:
        while len(self._ahead) < AHEAD and self._asked < self._mark:
            upto = min(self._mark, self._asked + BATCH)
            self._ahead.append(self._threads[0].submit(_read, self._asked, upto))
            self._threads.rotate(1)
            self._asked = upto

    def _skip_hole(self, reached: int) -> None:
        """To the next event, however far it is: what appends that were rolled back have drawn is never filled."""
        self._forget()
        first = feed.first_after(reached, self._mark)
        self._asked = self._mark if first is None else first - 1

    def _forget(self) -> None:
        for batch in self._ahead:
            batch.cancel()
        self._ahead.clear()


def _read(after: int, upto: int) -> Batch:
    try:
        return feed.read_rows(COLUMNS, after=after, upto=upto, limit=BATCH, row_factory=tuple_row)
    except Exception:
        connection.close()
        raise
