"""Gives up the holds whose time is over."""

from typing import Any

from django.core.management.base import CommandError

from accounts.services.expiry import expire_holds
from ops.management.working import WorkingCommand


class Command(WorkingCommand):
    help = (
        "Gives up every hold that is past its time, so that its money can be spent again. The scheduler does so "
        "every minute; run again or beside that, nothing happens twice. Exits with 1 where some could not be."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = expire_holds()
        self.stdout.write(f"{done.expired} hold{'s' if done.expired != 1 else ''} expired.")
        if done.left:
            raise CommandError(
                f"{done.left} more are past their time, and could not be given up: their accounts were in use, or do "
                "not agree with their events. Run it again in a moment; the log says why of each."
            )
