"""What the processes of a machine tell each other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import board
from ops.board import layout, opening, reading
from ops.conf import get_settings

WRITER = """
import sys
from ops import board
board.publish({"n": 1})
board.count("happened", 3)
print("ready", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "publish":
        board.publish({"n": int(rest)})
    else:
        board.count(rest)
    print("done", flush=True)
"""


class Writer:
    """Another process with a board."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("BOARD_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.kill()


def said() -> list[object]:
    return [seen.facts["n"] for seen in board.boards()]


def test_each_look_finds_what_is_there_by_then(writer: Writer) -> None:
    assert said() == [1]
    writer.tell("publish 2")
    assert said() == [2]


def test_a_series_that_begins_after_a_board_was_opened_is_found(writer: Writer) -> None:
    assert board.total("later", 60) == 0
    writer.tell("count later")
    assert (board.total("later", 60), board.total("happened", 60)) == (1, 3)


def test_a_process_that_died_is_not_shown_and_its_counts_stay(writer: Writer) -> None:
    assert said() == [1]
    writer.kill()
    assert said() == []
    assert board.total("happened", 60) == 3


def test_a_board_that_nobody_needs_is_removed(writer: Writer, folder: Path) -> None:
    assert said() == [1]
    writer.kill()
    [path] = folder.glob("*.board")
    with path.open("r+b") as file:
        file.seek(layout.LAST_COUNT_AT)
        file.write(layout.LAST_COUNT.pack(int(time.time()) - layout.SECONDS - 5))

    assert board.total("happened", 60) == 0
    assert not path.exists()


def test_a_file_that_is_not_finished_is_passed_over_until_it_is(folder: Path) -> None:
    (folder / "half.board").write_bytes(b"")
    assert opening.opened() == []
    (folder / "half.board").write_bytes(b"\0" * layout.SIZE)
    assert opening.opened() == []


def test_without_a_folder_there_are_no_boards(folder: Path) -> None:
    folder.rmdir()
    assert board.boards() == []


def test_within_one_look_the_boards_are_read_once_and_again_after_a_moment(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with board.one_look():
        monkeypatch.setattr(reading, "LOOK", 3600.0)
        assert said() == [1]
        writer.tell("publish 2")
        assert said() == [1]
        monkeypatch.setattr(reading, "LOOK", 0.0)
        assert said() == [2]
    writer.tell("publish 3")
    assert said() == [3]
