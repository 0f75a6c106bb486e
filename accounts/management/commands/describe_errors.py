"""Prints the table of error codes that docs/manual.md shows."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.api.catalogue import KINDS


class Command(BaseCommand):
    help = "Prints every error code of the API, with its HTTP status and the remedy, as a Markdown table."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(errors_table())


def errors_table() -> str:
    """One row a code, in the order of the catalogue."""
    rows = [f"| `{code}` | {kind.status} | {kind.title}. | {kind.remedy} |" for code, kind in KINDS.items()]
    return "\n".join(["| code | status | means | what to do |", "|---|---|---|---|", *rows])
