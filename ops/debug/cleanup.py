"""The cleanup that POST /debug/cleanup runs: a floor above knows what may go, and registers it."""

from collections.abc import Callable

Cleanup = Callable[[bool], dict[str, int]]
"""Called with `dry_run`; returns how many rows of each kind were removed, or would be."""

_registered: list[Cleanup] = []


def register_cleanup(cleanup: Cleanup) -> None:
    _registered.append(cleanup)


def clean_up(*, dry_run: bool) -> dict[str, int]:
    """Runs what is registered, in order."""
    return {kind: rows for cleanup in _registered for kind, rows in cleanup(dry_run).items()}
