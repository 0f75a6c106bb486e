"""Actions that do what a test tells them."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ops.jobs import asking, registry
from ops.jobs.models import Job
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, Order

ADVICE = "Start it anew."
Work = Callable[[Order, Progress], Sequence[str]]


@pytest.fixture
def action(db: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Says what a job of the action "try_out" does."""
    monkeypatch.setattr(registry, "_actions", dict(registry._actions))

    def does(work: Work) -> None:
        registry.register_action(JobAction("try_out", "Try out", "ops.run_cleanup", work, ADVICE))

    does(lambda order, progress: ["tried"])
    return does


def make(**fields: Any) -> Job:
    given = {"subject": "installation", "input": {}, "reason": "a test", "actor": "staff:operator"}
    return asking.make("try_out", **{**given, **fields})


class Gate:
    """An action that waits in its midst, until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.runs = 0

    def work(self, order: Order, progress: Progress) -> Sequence[str]:
        self.runs += 1
        progress.step("Waiting")
        progress.log("at the gate")
        progress.advance(3, 10)
        self.reached.set()
        while not self.go_on.wait(0.02):
            progress.check()
        return ["went through"]
