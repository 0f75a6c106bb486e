"""Proves the books."""

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.verification import verify
from eventstore import seals
from eventstore.errors import StoreBusy
from ops.audit.record import record_act
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Folds every stream, recomputes every hash, and compares accounts, transactions, daily balances and journal "
        "with what the events mean. Exits with 1 and the first differences when anything disagrees."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seals", metavar="FILE", help="and with what seal_books has sealed: see there")
        parser.add_argument(
            "--acknowledge",
            metavar="WHY",
            default="",
            help="with --seals: what did not hold of other seals is accounted for; kept, with who says so",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sealed = _sealed(options["seals"]) if options["seals"] else []
        why = options["acknowledge"].strip()
        if why and not sealed:
            raise CommandError("--acknowledge takes --seals, with the seals that count now. Nothing was verified.")
        try:
            with bar("event") as progress:
                result = verify(progress, sealed=sealed, acknowledged=bool(why))
        except StoreBusy as busy:
            raise CommandError(f"Nothing was verified: {busy}") from busy
        if why:
            record_act(
                actor=f"command:{getpass.getuser()}",
                action="acknowledge_seals",
                subject="ledger",
                reason=why,
                done=True,
                detail={"seals": len(sealed), "differences": result.differences},
            )
        summary = f"{result.events} events in {result.streams} streams, {result.seconds} s"
        if sealed:
            held = f"{len(sealed)} seal{'s' if len(sealed) > 1 else ''}"
            summary = f"{held}, the last of {sealed[-1].sealed_at:%Y-%m-%d %H:%M} UTC; {summary}"
        for sentence in result.left_out:
            self.stdout.write(f"Known, and no difference: {sentence}")
        if result.untried:
            self.stdout.write(
                f"{result.untried} seals that did not hold before were not tried: the bank stays unhealthy until "
                "they hold (--seals with their file), or somebody says why they cannot (--acknowledge WHY)."
            )
        if result.differences:
            lines = "\n".join(f"  - {sentence}" for sentence in result.first_differences)
            raise CommandError(
                f"The books do NOT agree: {result.differences} differences ({summary}). The first:\n{lines}\n"
                "Nothing was changed. Read models are mended by rebuild_projection NAME; events never are."
            )
        self.stdout.write(self.style.SUCCESS(f"The books agree: {summary}."))


def _sealed(name: str) -> list[seals.Seal]:
    try:
        found = seals.read(Path(name).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise CommandError(f"{name}: {error}. Nothing was verified.") from error
    if not found:
        raise CommandError(f"{name} holds no seal: make one with seal_books. Nothing was verified.")
    return found
