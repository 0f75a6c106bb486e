"""Processes that share a folder count in it one beside the other and one after the other, and nothing is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.ops.operators import ROOT
from tests.parts import program

COUNTS = """
import django, os, sys
django.setup()
from ops.timeouts import record
for _ in range(5):
    record("kafka", "ok", 0.5)
print("counted", flush=True)
for line in sys.stdin:
    if line == "fork\\n" and os.fork() == 0:
        record("kafka", "ok", 0.5)
        os._exit(0)
    record("kafka", "ok", 0.5)
    print("counted", flush=True)
"""
CONTAINER = ("--user", "--map-root-user", "--pid", "--fork", "--kill-child")
"""Process 1 of a name space of its own, as the first of each container is."""


@contextmanager
def counting(folder: Path, *wrapper: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has counted five calls, and counts one more for each line that it reads."""
    process = subprocess.Popen(
        [*wrapper, sys.executable, "-c", COUNTS],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder), "LOG_LEVEL": "ERROR"},
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        heard(process)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def heard(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"


def tell(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    heard(process)


def total(folder: Path) -> float | None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return registry.get_sample_value("component_calls_total", {"component": "kafka", "outcome": "ok"})


def counters(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("counter_*.db"))


def test_who_begins_goes_on_where_one_that_was_killed_had_counted(tmp_path: Path) -> None:
    for rounds in (1, 2, 3):
        with counting(tmp_path):
            assert total(tmp_path) == 5 * rounds
        assert total(tmp_path) == 5 * rounds, "it fell"
    assert counters(tmp_path) == ["counter_place0.db"]


def test_those_that_live_count_beside_each_other(tmp_path: Path) -> None:
    with counting(tmp_path), counting(tmp_path) as second:
        tell(second, "one more")
        assert total(tmp_path) == 11
        assert counters(tmp_path) == ["counter_place0.db", "counter_place1.db"]


def test_containers_whose_processes_have_the_same_number_do_not_count_in_one_file(tmp_path: Path) -> None:
    unshare = program("unshare", "util-linux")
    with counting(tmp_path, unshare, *CONTAINER) as first, counting(tmp_path, unshare, *CONTAINER) as second:
        tell(first, "one more")
        tell(second, "one more")
        assert total(tmp_path) == 12


def test_a_forked_child_counts_in_a_place_of_its_own(tmp_path: Path) -> None:
    with counting(tmp_path) as process:
        tell(process, "fork")
        tell(process, "one more")
        process.communicate(timeout=10)
    assert total(tmp_path) == 8
    assert counters(tmp_path) == ["counter_place0.db", "counter_place1.db"]


def test_what_a_power_cut_left_unreadable_is_begun_anew(tmp_path: Path) -> None:
    with counting(tmp_path), counting(tmp_path):
        pass
    (tmp_path / "counter_place1.db").write_bytes(b"\xff\x00\x00\x00" + b"\x07" * 400)
    with counting(tmp_path):
        assert total(tmp_path) == 10
    with counting(tmp_path), counting(tmp_path):
        assert total(tmp_path) == 20


def test_where_nothing_can_be_written_the_process_works_and_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with counting(tmp_path / "file") as process:
        tell(process, "one more")


@pytest.mark.parametrize("kind", ["counter", "histogram"])
def test_a_place_s_files_have_their_space_from_the_beginning(tmp_path: Path, kind: str) -> None:
    with counting(tmp_path):
        found = (tmp_path / f"{kind}_place0.db").stat()
    assert found.st_blocks * 512 >= found.st_size > 200_000
