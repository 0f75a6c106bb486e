"""The cleanup that POST /debug/cleanup, the admin and `manage.py cleanup` run: a floor above knows what may go, and
registers it."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class CleanedUp:
    """Rows of each kind that were removed, or would be; and what was not gone through to the end in the time that
    there was: the next cleanup does, or one that has more time."""

    removed: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def in_words(self) -> list[str]:
        """A line for each kind, for people."""
        lines = [f"{rows} {kind.replace('_', ' ')}" for kind, rows in self.removed.items()]
        if self.unfinished:
            lines.append(
                f"Not gone through to the end: {', '.join(self.unfinished)}. manage.py cleanup takes its time."
            )
        return lines


Step = Callable[[str], None]
"""Told what comes next; raises where the cleanup is to stop."""
Cleanup = Callable[[bool, Step], CleanedUp]
"""Called with `dry_run` and whom to tell of each kind before it is removed."""

_registered: list[Cleanup] = []


def register_cleanup(cleanup: Cleanup) -> None:
    _registered.append(cleanup)


def clean_up(*, dry_run: bool, step: Step = lambda kind: None) -> CleanedUp:
    """Runs what is registered, in order."""
    done = CleanedUp()
    for cleanup in _registered:
        part = cleanup(dry_run, step)
        done.removed |= part.removed
        done.unfinished += part.unfinished
    return done
