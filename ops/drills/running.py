"""Holding a drill."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TypeVar

from django.db import connections

from ops.drills.registry import CannotDrill, Part, Scene, noticed_within

T = TypeVar("T")
LOOK_EVERY = 0.2
WELL_BEFOREHAND = 60.0
"""Seconds that the components of a part get to be well before it begins."""


class DrillFailed(Exception):
    """The bank did not notice, or was not well again in time."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a part showed. Times are seconds."""

    symptom: str
    reported: str
    noticed_after: float
    remedy: str
    cured_after: float


@dataclass(slots=True)
class Report:
    drill: str
    parts: list[Held] = field(default_factory=list)
    acknowledged: int = 0
    losses: list[str] = field(default_factory=list)
    seconds: float = 0.0


def hold(name: str, parts: Sequence[type[Part]], scene: Scene, *, lasting: float = 0.0) -> Report:
    """Holds the parts one after another; `lasting`: seconds that each symptom stays after it was noticed.

    Raises:
        CannotDrill: something is missing, or not well to begin with; nothing was done.
        DrillFailed: what was produced is undone all the same.
    """
    began = time.monotonic()
    report, made = Report(name), [part(scene) for part in parts]
    for part in made:
        if lacking := part.lacks():
            raise CannotDrill(lacking)
    for part in made:
        report.parts.append(_hold(part, scene, lasting))
    scene.say("Settling with the customers.")
    report.losses = scene.customers.settle()
    report.acknowledged = scene.customers.acknowledged
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _hold(part: Part, scene: Scene, lasting: float) -> Held:
    if not _until(part.is_well, WELL_BEFOREHAND):
        raise CannotDrill(f"{part.ailing()}. A drill needs a bank that is well: put that right first.")
    part.prepare()
    with ExitStack() as cleanup:
        scene.say(f"Producing: {part.symptom}")
        began = time.monotonic()
        part.produce(cleanup)
        reported = _until(part.reported, noticed_within())
        if not reported:
            raise DrillFailed(f"Not noticed within {noticed_within():.0f} s: {part.symptom}")
        noticed = time.monotonic()
        scene.say(f"Noticed after {noticed - began:.1f} s: {reported}")
        time.sleep(lasting)
        scene.say(f"Remedy: {part.remedy}")
        cured_from = time.monotonic()
        part.cure()
        if not _until(part.is_well, part.cured_within()):
            raise DrillFailed(f"Not well again within {part.cured_within():.0f} s: {part.ailing()}")
        cured = time.monotonic()
        scene.say(f"Well again after {cured - cured_from:.1f} s.")
    return Held(part.symptom, reported, round(noticed - began, 1), part.remedy, round(cured - cured_from, 1))


def _until(look: Callable[[], T], seconds: float) -> T:
    """The first result that holds, or the last one when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    return found


@contextmanager
def repeating(action: Callable[[], object], *, times: int = 1, pause: float = 0.0) -> Iterator[None]:
    """Calls `action` again and again in threads until the block is left."""
    stop = Event()

    def run() -> None:
        try:
            while not stop.is_set():
                action()
                stop.wait(pause)
        finally:
            connections.close_all()

    threads = [Thread(target=run, name=f"drill-{number}", daemon=True) for number in range(times)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
