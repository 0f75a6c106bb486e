"""Children are restarted with patience, and all of them stop in order within a bounded time."""

import os
import signal
import time

import pytest

from ops.embedded.errors import Refusal, Stopped
from ops.embedded.processes import Register, start_time
from ops.embedded.supervisor import Patience, StopRequest, Supervisor

from .conftest import Program, ReadableLog

HASTY = Patience(first=0.01, longest=0.04, quick=60, quick_deaths=4)
SLEEP = "import time; print('up'); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"


def wait_for_line(log: ReadableLog, text: str, count: int = 1) -> None:
    deadline = time.monotonic() + 10
    while sum(text in line for line in log.lines()) < count:
        assert time.monotonic() < deadline, log.lines()
        time.sleep(0.02)


def test_what_a_child_says_appears_under_its_name(log, stop, program: Program):
    with Supervisor(log, stop) as supervisor:
        supervisor.start(program("web", "import sys; print('one'); print('two', file=sys.stderr)"))
        wait_for_line(log, "two")
    assert [line.split("Z ", 1)[1] for line in log.lines()][:2] == ["web       | one", "web       | two"]


def test_a_child_that_dies_is_started_again(log, stop, program: Program):
    with Supervisor(log, stop, patience=HASTY) as supervisor:
        child = supervisor.start(program("worker", SLEEP))
        wait_for_line(log, "| up")
        child.kill_group()
        deadline = time.monotonic() + 10
        supervisor.watch(until=lambda: "up" in "".join(log.lines()[1:]) or time.monotonic() > deadline)
        assert any("worker died (signal SIGKILL) and starts again" in line for line in log.lines())
        wait_for_line(log, "| up", count=2)


def test_the_pause_doubles_with_each_quick_death_and_is_bounded():
    assert [Patience().pause(deaths) for deaths in range(1, 8)] == [0.5, 1, 2, 4, 8, 15, 15]


def test_too_many_quick_deaths_stop_everything_with_the_name_and_the_last_lines(log, stop, program: Program):
    with Supervisor(log, stop, patience=HASTY) as supervisor:
        other = supervisor.start(program("web", SLEEP))
        supervisor.start(program("beat", "print('no schedule here'); raise SystemExit(3)"))
        with pytest.raises(Refusal) as refusal:
            supervisor.watch()
    assert str(refusal.value) == (
        "beat died 4 times in a row (exit code 3), so everything was stopped; its last lines stand above."
    )
    assert refusal.value.lines == ["no schedule here"]
    assert not other.running


def test_a_child_that_dies_of_a_full_disk_is_not_started_again(log, stop, program: Program):
    words = "could not write: No space left on device"
    with Supervisor(log, stop) as supervisor:
        supervisor.start(program("postgres", f"raise SystemExit({words!r})"))
        with pytest.raises(Refusal, match="The disk is full: free some space"):
            supervisor.watch()


def test_a_full_disk_is_told_while_the_child_goes_on(log, stop, program: Program):
    with Supervisor(log, stop) as supervisor:
        words = "could not extend file: No space left on device"

        def times_told() -> int:
            return sum("postgres says that the disk is full: free some space" in line for line in log.lines())

        supervisor.start(program("postgres", f"import time\nwhile True: print({words!r}); time.sleep(0.01)"))
        deadline = time.monotonic() + 10
        supervisor.watch(until=lambda: times_told() > 0 or time.monotonic() > deadline)
        a_little_later = time.monotonic() + 0.3
        supervisor.watch(until=lambda: time.monotonic() > a_little_later)
    assert times_told() == 1


def test_a_server_that_died_during_the_tests_is_not_passed_over(log, stop, program: Program):
    with Supervisor(log, stop) as supervisor:
        child = supervisor.start(program("postgres", SLEEP))
        supervisor.check_all_running()
        child.kill_group()
        child.process.wait(5)
        with pytest.raises(Refusal, match=r"postgres died meanwhile \(signal SIGKILL\)"):
            supervisor.check_all_running()


def test_a_child_that_ends_while_it_starts_is_told_with_its_last_lines(log, stop, program: Program):
    with Supervisor(log, stop) as supervisor:
        child = supervisor.start(program("postgres", "raise SystemExit('could not bind')"))
        with pytest.raises(Refusal, match="postgres ended while it was starting") as refusal:
            supervisor.wait_until(lambda: False, child, seconds=10)
    assert refusal.value.lines == ["could not bind"]


def test_a_child_that_does_not_get_ready_is_not_waited_for_without_end(log, stop, program: Program):
    with pytest.raises(Refusal, match="web was not ready after 0 seconds"), Supervisor(log, stop) as supervisor:
        supervisor.wait_until(lambda: False, supervisor.start(program("web", SLEEP)), seconds=0.2)


def test_a_signal_ends_the_waiting_for_a_child(log, stop, program: Program):
    stop.received = signal.SIGTERM
    with pytest.raises(Stopped), Supervisor(log, stop) as supervisor:
        supervisor.wait_until(lambda: False, supervisor.start(program("web", SLEEP)), seconds=10)


def test_children_stop_in_order_each_only_after_the_one_before_it(log, stop, program: Program):
    slow = """
import signal, sys, time
def drain(*_):
    time.sleep(0.4); print('drained'); sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print('up')
while True: time.sleep(1)
"""
    with Supervisor(log, stop) as supervisor:
        supervisor.start(program("postgres", SLEEP, stop_by=3.0))
        supervisor.start(program("redis", SLEEP, stop_by=2.0))
        supervisor.start(program("web", slow, stop_by=1.0))
        wait_for_line(log, "| up", count=3)
    said = [line.split("| ")[1] for line in log.lines() if "stopping" in line or "drained" in line]
    assert said == ["stopping web", "drained", "stopping redis", "stopping postgres"]


def test_stubborn_children_are_killed_at_their_moment_and_the_whole_stop_is_bounded(log, stop, program: Program):
    with Supervisor(log, stop) as supervisor:
        children = [supervisor.start(program(f"child{n}", STUBBORN, stop_by=0.3 * n)) for n in (1, 2, 3)]
        wait_for_line(log, "| up", count=3)
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    assert not any(child.running for child in children)
    assert sum("did not stop in time: SIGKILL" in line for line in log.lines()) == 3


def test_what_a_child_started_itself_is_gone_with_it(log, stop, program: Program):
    parent = "import os, time\npid = os.fork()\nif pid: print(pid); os._exit(0)\ntime.sleep(60)"
    with Supervisor(log, stop) as supervisor:
        supervisor.start(program("worker", parent))
        wait_for_line(log, "worker")
        orphan = int(log.lines()[0].split("| ")[1])
        assert start_time(orphan)
    deadline = time.monotonic() + 5
    while start_time(orphan) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not start_time(orphan)


def test_watching_ends_when_nobody_reads_the_log_any_more(log, stop):
    log.reader_is_gone = True
    Supervisor(log, stop).watch()


def test_only_the_first_signal_counts():
    stop = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        stop.install()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_register_knows_which_processes_still_run(log, stop, program: Program, tmp_path):
    register = Register(tmp_path / "run")
    with Supervisor(log, stop, register) as supervisor:
        child = supervisor.start(program("redis", SLEEP))
        assert register.leftovers() == {"redis": child.process.pid}
    assert register.leftovers() == {}


def test_a_process_that_merely_got_the_same_id_is_not_ours(tmp_path):
    register = Register(tmp_path / "run")
    (tmp_path / "run" / "web.pid").write_text(f"{os.getpid()} 1\n")
    assert register.leftovers() == {}
