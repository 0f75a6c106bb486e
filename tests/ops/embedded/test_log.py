"""One line format for all processes, and a log that never holds anybody up."""

import os
import re
import threading
from datetime import UTC, datetime, timedelta, timezone

from ops.embedded.log import QUEUE_LINES, Log, format_line

from .conftest import ReadableLog


def test_a_line_has_the_moment_in_utc_the_source_and_the_text():
    moment = datetime(2026, 11, 23, 15, 4, 5, 999_999, tzinfo=UTC)
    assert format_line(moment, "web", "hello") == "2026-11-23T15:04:05Z web       | hello"
    assert format_line(moment, "projector", "hello") == "2026-11-23T15:04:05Z projector | hello"


def test_a_moment_of_another_time_zone_is_written_in_utc():
    moment = datetime(2026, 11, 23, 17, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert format_line(moment, "web", "x").startswith("2026-11-23T15:04:05Z ")


def test_lines_come_out_in_the_order_in_which_they_were_said(log: ReadableLog):
    for number in range(100):
        log.plain(str(number))
    assert log.lines() == [str(number) for number in range(100)]


def test_a_terminal_that_takes_nothing_holds_nobody_up_and_what_was_lost_is_counted():
    release, written = threading.Event(), []

    class Stuck:
        def write(self, text: str) -> None:
            release.wait()
            written.append(text)

        def flush(self) -> None: ...

    log = Log(Stuck())  # type: ignore[arg-type]
    for number in range(QUEUE_LINES + 100):
        log.plain(str(number))
    release.set()
    log.flush(30)
    told = [int(found[1]) for text in written if (found := re.search(r"(\d+) lines were dropped", text))]
    kept = [text for text in written if text.strip().isdigit()]
    assert told, "lines were lost without a word"
    assert len(kept) + sum(told) == QUEUE_LINES + 100
    assert len(kept) <= QUEUE_LINES + 2


def test_a_reader_that_went_away_is_noticed():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:
        log = Log(stream)
        log.plain("nobody reads this")
        log.close()
        assert log.reader_is_gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that closing it has somewhere to flush
