"""The books of a day, for people and for other ledgers."""

import csv
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.domain.errors import Refusal
from accounts.domain.money import format_minor
from accounts.trial_balance import TrialBalance, trial_balance

HEADINGS = ("currency", "ledger account", "before", "debits", "credits", "after", "lines")


class Command(BaseCommand):
    help = (
        "Shows what each ledger account stood at, moved, and stands at on a day (UTC). Credits are positive. Exits "
        "with 1 where the figures do not sum to zero, or are not complete yet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", nargs="?", type=_day, help="such as 2026-01-31; today unless given")
        parser.add_argument("--csv", action="store_true", help="as comma-separated values")

    def handle(self, *args: Any, **options: Any) -> None:
        day = options["day"] or timezone.now().date()
        try:
            found = trial_balance(day)
        except Refusal as refusal:
            raise CommandError(f"{day}: {refusal.message} Nothing is shown.") from None
        rows = list(_rows(found))
        if options["csv"]:
            csv.writer(self.stdout, lineterminator="\n").writerows([HEADINGS, *rows])
        else:
            self._write_table(found, rows)
        if found.lacks:
            raise CommandError(f"These figures are not complete: {found.lacks}")
        if not found.is_balanced:
            raise CommandError(
                "These books do NOT sum to zero: have them proved (verify_ledger), and if they agree, rebuild the "
                "read model (rebuild_projection ledger_days)."
            )

    def _write_table(self, found: TrialBalance, rows: list[tuple[str, ...]]) -> None:
        state = "final" if found.is_final else "not final: more may be recorded"
        self.stdout.write(f"Trial balance of {found.day}, {state}.")
        table = [HEADINGS, *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
            figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            self.stdout.write("  ".join([*names, *figures]))


def _rows(found: TrialBalance) -> Iterator[tuple[str, ...]]:
    for books in found.books:
        for entry in (*books.entries, books.total):
            figures = (entry.opening, entry.debits, entry.credits, entry.closing)
            told = (format_minor(figure, books.currency) for figure in figures)
            yield (books.currency, entry.ledger_account or "sum", *told, str(entry.lines))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day: write one such as 2026-01-31") from None
