"""Replaces the connections of all pools."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ops.conf import get_settings
from ops.database import pool_facts
from ops.detectors.resetting import described, reset_pools
from ops.management.working import WorkingCommand


class Command(WorkingCommand):
    help = (
        "Has every process of this machine replace the connections of its pool: idle ones at once, others when they "
        "are given back. Nobody's work is cut off. On several machines run it on each."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="list the pools, and reset none")
        parser.add_argument("--reason", default="", help="why: it is kept, with who did it")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason and not options["dry_run"]:
            raise CommandError("Nothing was done: say why with --reason. It is kept on record.")
        pools = pool_facts()
        if not pools:
            raise CommandError(
                "Nothing was done: no process with a pool of connections tells of itself in BOARD_DIR "
                f"({get_settings().board_dir}). Run this as the services' user, with their BOARD_DIR."
            )
        for line in described(pools):
            self.stdout.write(line)
        if options["dry_run"]:
            self.stdout.write(f"{len(pools)} pools would be reset. Nothing was done: this was a dry run.")
            return
        done = reset_pools(actor=f"command:{getpass.getuser()}", reason=reason)
        if done.not_recorded:
            self.stderr.write(f"The pools are being reset, but that could not be recorded: {done.not_recorded}")
        self.stdout.write(f"{done.pools - len(done.missing)} of {done.pools} pools were reset.")
        if done.missing:
            named = ", ".join(map(str, done.missing))
            raise CommandError(f"Processes {named} have not answered: they may hang. Restart them if they do not.")
