"""Proves the books."""

from typing import Any

from django.core.management.base import CommandError

from accounts.verification import verify
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Folds every stream, recomputes every hash, and compares accounts, transactions, daily balances and journal "
        "with what the events mean. Exits with 1 and the first differences when anything disagrees."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with bar("event") as progress:
            result = verify(progress)
        summary = f"{result.events} events in {result.streams} streams, {result.seconds} s"
        if result.differences:
            lines = "\n".join(f"  - {sentence}" for sentence in result.first_differences)
            raise CommandError(
                f"The books do NOT agree: {result.differences} differences ({summary}). The first:\n{lines}\n"
                "Nothing was changed. Read models are mended by rebuild_projection NAME; events never are."
            )
        self.stdout.write(self.style.SUCCESS(f"The books agree: {summary}."))
