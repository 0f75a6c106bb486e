"""One service is restarted in order while the others go on: by the command, a request file, and a real supervisor."""

import threading
import time
from pathlib import Path

import pytest

from ops.embedded import layout, running
from ops.embedded.errors import Refusal
from ops.embedded.processes import ChildSpec, Register
from ops.embedded.supervisor import Patience, Supervisor

from .conftest import Program

SLEEP = "import time; print('up'); time.sleep(60)"
DRAINS = """
import signal, sys, time
def drain(*_):
    time.sleep(0.3); print('finished what was in hand'); sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print('up')
while True: time.sleep(1)
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The directories of a checkout in which a launcher holds the lock."""
    monkeypatch.setattr(running, "VAR", tmp_path)
    monkeypatch.setattr(running, "PROCESSES", tmp_path / "run")
    lock = layout.try_lock(tmp_path / "run.lock")
    assert lock is not None
    with lock:
        yield Register(tmp_path / "run")


class Told(threading.Thread):
    """`make restart SERVICE=...` in another terminal, which is here another thread: children are started by the main
    one alone."""

    def __init__(self, *names: str) -> None:
        super().__init__(daemon=True)
        self.names = names
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            running.restart(self.names)
        except BaseException as error:
            self.error = error


def watch_while(supervisor: Supervisor, told: Told) -> None:
    end = time.monotonic() + 20
    supervisor.watch(until=lambda: not told.is_alive() or time.monotonic() > end)
    told.join(1)
    assert not told.is_alive()


def wait_for(log, text: str, count: int = 1) -> None:
    end = time.monotonic() + 10
    while sum(text in line for line in log.lines()) < count:
        assert time.monotonic() < end, log.lines()
        time.sleep(0.02)


def said(log) -> list[str]:
    return [line.split("| ", 1)[1] for line in log.lines()]


def test_one_service_finishes_what_it_has_in_hand_and_a_new_one_takes_its_place(
    checkout: Register, log, stop, program: Program, capsys: pytest.CaptureFixture[str]
):
    with Supervisor(log, stop, checkout) as supervisor:
        supervisor.start(program("relay", DRAINS))
        other = supervisor.start(program("web", SLEEP))
        wait_for(log, "| up", count=2)
        old = checkout.running()["relay"]
        told = Told("relay")
        watch_while(supervisor, told)

        assert told.error is None
        new = checkout.running()["relay"]
        assert new != old
        assert other.running, "the others go on"
        assert checkout.running()["web"] == other.process.pid
        wait_for(log, "| up", count=3)
        assert said(log)[2:] == ["restarting relay, as asked", "finished what was in hand", "up"]
    assert capsys.readouterr().out == f"relay was restarted: process {new} has taken the place of {old}.\n"
    assert not any("died" in line for line in log.lines())


def test_one_that_does_not_end_in_its_time_is_killed_and_the_others_are_looked_after_meanwhile(
    checkout: Register, log, stop, program: Program
):
    hasty = Patience(first=0.01, longest=0.04)
    with Supervisor(log, stop, checkout, patience=hasty) as supervisor:
        supervisor.start(program("worker", STUBBORN, stop_by=1.5))
        mortal = supervisor.start(program("web", SLEEP))
        wait_for(log, "| up", count=2)
        old = checkout.running()["worker"]
        told = Told("worker")
        supervisor.watch(until=lambda: any("restarting worker" in line for line in log.lines()))
        mortal.kill_group()
        watch_while(supervisor, told)

        assert told.error is None
        assert checkout.running()["worker"] != old
        lines = said(log)
        assert "worker did not stop in time: SIGKILL" in lines
        assert lines.index("web died (signal SIGKILL) and starts again in 0.01 s") < lines.index(
            "worker did not stop in time: SIGKILL"
        )


def test_one_that_waits_for_its_next_start_after_a_death_is_started_at_once(
    checkout: Register, log, stop, program: Program
):
    with Supervisor(log, stop, checkout, patience=Patience(first=60, longest=60)) as supervisor:
        child = supervisor.start(program("beat", SLEEP))
        wait_for(log, "| up")
        child.kill_group()
        supervisor.watch(until=lambda: any("starts again in 60 s" in line for line in log.lines()))
        checkout.ask_to_restart("beat")
        end = time.monotonic() + 5
        supervisor.watch(until=lambda: "beat" in checkout.running() or time.monotonic() > end)
        assert "beat" in checkout.running()


@pytest.mark.parametrize("names", [(), ("nothing",), ("relay", "web"), ("../relay",)])
def test_a_service_that_does_not_run_is_refused_with_those_that_do(
    checkout: Register, log, stop, program: Program, names: tuple[str, ...]
):
    with Supervisor(log, stop, checkout) as supervisor:
        for name in ("relay", "web"):
            supervisor.start(program(name, SLEEP))
        before = checkout.running()
        with pytest.raises(
            Refusal, match=r"Name one service to restart, such as restart relay\. Running are: relay, web"
        ):
            running.restart(names)
        assert checkout.running() == before
        assert checkout.take_restarts() == []


def test_a_service_of_a_name_that_is_none_is_told_so(checkout: Register, log, stop, program: Program):
    with Supervisor(log, stop, checkout) as supervisor:
        supervisor.start(program("relay", SLEEP))
        with pytest.raises(Refusal, match=r"^There is no service relais here\. Name one"):
            running.restart(("relais",))


def test_without_a_running_bank_there_is_nothing_to_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "VAR", tmp_path)
    with pytest.raises(Refusal, match="The bank does not run in this checkout"):
        running.restart(["web"])


def test_a_launcher_that_does_not_answer_is_not_waited_for_without_end(
    checkout: Register, log, stop, program: Program, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "RESTARTED_WITHIN", 0.3)
    with Supervisor(log, stop, checkout) as supervisor:
        supervisor.start(program("relay", SLEEP))
        with pytest.raises(Refusal, match="relay was not restarted within 0 seconds"):
            running.restart(["relay"])


def test_a_request_is_taken_once(checkout: Register):
    checkout.ask_to_restart("relay")
    assert checkout.take_restarts() == ["relay"]
    assert checkout.take_restarts() == []


def test_every_child_of_the_bank_is_given_less_time_to_end_than_the_command_waits():
    from ops.embedded.bank import bank_children

    specs: list[ChildSpec] = [*bank_children({}), *bank_children({"KAFKA_ENABLED": "true"})]
    assert max(spec.stop_by for spec in specs) + running.SETTLED_AFTER < running.RESTARTED_WITHIN
