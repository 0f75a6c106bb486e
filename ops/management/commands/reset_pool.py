"""Replaces the connections of all pools."""

import getpass
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from ops.database import pool_facts
from ops.database.watching import request_reset
from ops.detectors.ending import on_record
from ops.detectors.models import Resolution
from ops.management.working import WorkingCommand

CONFIRMED_WITHIN = 5.0
"""Seconds; each process looks once a second."""


class Command(WorkingCommand):
    help = (
        "Has every process of this machine replace the connections of its pool: idle ones at once, others when they "
        "are given back. Nobody's work is cut off. On several machines run it on each."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="list the pools, and reset none")
        parser.add_argument("--reason", default="", help="why: it is kept, with who did it")

    def handle(self, *args: Any, **options: Any) -> None:
        reason, began = options["reason"].strip(), time.time()
        if not reason and not options["dry_run"]:
            raise CommandError("Nothing was done: say why with --reason. It is kept on record.")
        pools = pool_facts()
        for pool in pools:
            self.stdout.write(
                f"{pool['process']['role']:<12} {pool['process']['pid']:>8}  {pool['in_use']} in use, "
                f"{pool['available']} idle, {pool['waiting']} waiting, at most {pool['limit']}"
            )
        if options["dry_run"]:
            self.stdout.write(f"{len(pools)} pools would be reset. Nothing was done: this was a dry run.")
            return
        request_reset()
        self._record(reason, pools)
        pids = {pool["process"]["pid"] for pool in pools}
        missing = _unconfirmed(pids, began)
        self.stdout.write(f"{len(pids) - len(missing)} of {len(pids)} pools were reset.")
        if missing:
            named = ", ".join(map(str, sorted(missing)))
            raise CommandError(f"Processes {named} have not answered: they may hang. Restart them if they do not.")

    def _record(self, reason: str, pools: list[dict[str, Any]]) -> None:
        """After the request: a pool that gives no connection is why it is reset."""
        resolution = Resolution(
            action=Resolution.Action.RESET_POOL,
            outcome=Resolution.Outcome.DONE,
            actor=f"command:{getpass.getuser()}",
            reason=reason,
            detail={"processes": [pool["process"]["pid"] for pool in pools]},
        )
        try:
            on_record(resolution)
        except DatabaseError as error:
            self.stderr.write(f"The pools are being reset, but that could not be recorded: {error}")


def _unconfirmed(pids: set[int], began: float) -> set[int]:
    """Processes that still run and have not reset their pools within the time."""
    deadline = time.monotonic() + CONFIRMED_WITHIN
    while True:
        facts = {pool["process"]["pid"]: pool for pool in pool_facts()}
        missing = {pid for pid in pids & facts.keys() if (facts[pid]["reset_at"] or 0) < began}
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)
