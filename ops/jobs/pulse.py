"""The sign of life of a running job: a thread with a connection of its own.

The connection holds the job's advisory lock, which PostgreSQL lets go of when the process dies; once a second it
writes the heartbeat, the progress and the log, and reads whether somebody asked for the job to stop. So nobody waits
for the action's own transactions, and they for nobody.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from ops.database.locks import advisory_key
from ops.jobs.progress import Progress
from ops.timeouts.connection import connect_apart

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two heartbeats."""
MOST_LINES = 1000
"""Lines of one job's log: later ones are left out."""
SESSION = "-c statement_timeout=5000 -c lock_timeout=3000"

BEAT = """
UPDATE ops_job SET heartbeat_at = clock_timestamp(), step = %s, done = %s, total = %s
 WHERE id = %s AND state = 'running' RETURNING cancel_asked_by
"""
WRITE_LINES = """
INSERT INTO ops_jobline (job_id, at, text)
SELECT %s, * FROM unnest(%s::timestamptz[], %s::text[])
"""


def lock_of(job_id: int) -> str:
    """Name of the advisory lock that whoever carries a job out holds."""
    return f"job:{job_id}"


class Busy(Exception):
    """Another process holds the job's lock."""


class Pulse:
    """Of one job, for as long as it is carried out."""

    def __init__(self, job_id: int) -> None:
        self._job_id = job_id
        self._stop = threading.Event()
        self._lines_written = 0
        self._connection: psycopg.Connection[Any] | None = None

    def lock(self) -> None:
        """
        Raises:
            Busy: somebody else carries the job out. psycopg.Error: PostgreSQL does not answer.
        """
        if not self._take_lock():
            self.close()
            raise Busy

    @contextmanager
    def beating(self, progress: Progress) -> Iterator[None]:
        """Beats while the block runs, and once more at its end."""
        thread = threading.Thread(target=self._run, args=(progress,), name="job-pulse", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=20)
            with suppress(psycopg.Error):
                self._beat(progress)

    def close(self) -> None:
        """Lets go of the lock with the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _run(self, progress: Progress) -> None:
        while not self._stop.wait(EVERY):
            try:
                self._beat(progress)
            except psycopg.Error as error:  # the server is away: what is done goes on, and is told when it is back
                log.warning("job_without_pulse", job=self._job_id, error=repr(error))
                self.close()

    def _beat(self, progress: Progress) -> None:
        if self._connection is None and not self._take_lock():
            progress.stop("The job was given up: its worker had not been heard of.")
            self.close()
            return
        assert self._connection is not None
        told = progress.take()
        try:
            with self._connection.transaction():
                values = (told.step, told.done, told.total, self._job_id)
                row = self._connection.execute(BEAT, values).fetchone()
                self._write(told.lines)
        except psycopg.Error:
            progress.give_back(told)
            raise
        if row is None:
            progress.stop("The job was given up: its worker had not been heard of.")
        elif row[0]:
            progress.stop(f"{row[0]} asked for it.")

    def _write(self, lines: list[tuple[float, str]]) -> None:
        room = MOST_LINES - self._lines_written
        written = lines[:room]
        if len(lines) >= room > 0:
            written = [*lines[: room - 1], (lines[room - 1][0], "The log is full: what follows is not kept.")]
        if written:
            assert self._connection is not None
            moments = [datetime.fromtimestamp(at, UTC) for at, _ in written]
            self._connection.execute(WRITE_LINES, (self._job_id, moments, [text for _, text in written]))
            self._lines_written += len(written)

    def _take_lock(self) -> bool:
        self._connection = connect_apart("job", connect_timeout=5, options=SESSION)
        key = advisory_key(lock_of(self._job_id))
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        return bool(row and row[0])
