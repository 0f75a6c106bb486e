"""Fills empty books with a small demo bank."""

from typing import Any

from accounts.demo import create_demo_bank
from accounts.models import Account
from eventstore import projections
from eventstore.projections.runner import catch_up
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = "Opens a dozen demo accounts with some weeks of history. Does nothing where there is any account."

    def handle(self, *args: Any, **options: Any) -> None:
        if Account.objects.exists():
            self.stdout.write("There are accounts already: no demo bank was made.")
            return
        with bar("day") as progress:
            executed = create_demo_bank(progress)
        catch_up(projections.registered())
        self.stdout.write(f"The demo bank is open: {Account.objects.count()} accounts, {executed} commands executed.")
