"""The cleanup that POST /debug/cleanup, the admin and `manage.py cleanup` run: a floor above knows what may go, and
registers it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ops.timeouts import time_left

ENOUGH = 3.0
"""Seconds that have to be left of the block's time (`ops.timeouts.within`) for one batch more."""


@dataclass(slots=True)
class CleanedUp:
    """Rows of each kind that were removed, or would be; and what was not gone through to the end in the time that
    there was: the next cleanup does, or one that has more time."""

    removed: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def add(self, part: "CleanedUp") -> None:
        self.removed |= part.removed
        self.unfinished += part.unfinished

    def in_words(self) -> list[str]:
        """A line for each kind, for people."""
        lines = [f"{rows} {kind.replace('_', ' ')}" for kind, rows in self.removed.items()]
        if self.unfinished:
            lines.append(
                f"Not gone through to the end: {', '.join(self.unfinished)}. manage.py cleanup takes its time."
            )
        return lines


Step = Callable[[str], None]
"""Told what comes next, before each batch; raises where the cleanup is to stop."""
Cleanup = Callable[[bool, Step], CleanedUp]
"""Called with `dry_run` and whom to tell of what comes next."""


def remove_in_batches(kind: str, remove_some: Callable[[], int], batch: int, step: Step) -> CleanedUp:
    """Calls `remove_some`, which removes at most `batch` rows and returns how many, until no more are left, or not
    enough of the block's time."""
    removed = 0
    while time_left(ENOUGH) >= ENOUGH:
        step(kind.replace("_", " "))
        some = remove_some()
        removed += some
        if some < batch:
            return CleanedUp({kind: removed})
    return CleanedUp({kind: removed}, [kind])


_registered: list[Cleanup] = []


def register_cleanup(cleanup: Cleanup) -> None:
    _registered.append(cleanup)


def clean_up(*, dry_run: bool, step: Step = lambda kind: None) -> CleanedUp:
    """Runs what is registered, in order."""
    done = CleanedUp()
    for cleanup in _registered:
        done.add(cleanup(dry_run, step))
    return done
