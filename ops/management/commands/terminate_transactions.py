"""Ends transactions that last too long."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ops.detectors.ending import Action, described, end, session_of, transactions_older_than
from ops.detectors.looking import CannotLook
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session
from ops.management.working import WorkingCommand

NEEDS_RIGHTS = (
    "PostgreSQL lets only a session's own role, or one with more rights, end it: run this command with the "
    "DATABASE_URL of the owner or of an administrator."
)


class Command(WorkingCommand):
    help = (
        "Ends the sessions of PostgreSQL whose transaction has lasted too long: their work is rolled back. Only the "
        "bank's own, unless --force is given. Try --dry-run first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=float, metavar="SECONDS", help="that the transaction has lasted")
        parser.add_argument("--pid", type=int, help="this session alone, whatever it does")
        parser.add_argument("--cancel", action="store_true", help="end only the statement under way, if there is one")
        parser.add_argument("--force", action="store_true", help="sessions of other programs and roles too")
        parser.add_argument("--dry-run", action="store_true", help="list them, and end none")
        parser.add_argument("--reason", default="", help="why: it is kept, with who did it")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason and not options["dry_run"]:
            raise CommandError("Nothing was done: say why with --reason. It is kept on record.")
        try:
            chosen, spared = self._choose(options)
            self._tell(chosen, spared, dry_run=options["dry_run"])
            if not options["dry_run"]:
                self._end(chosen, options, reason)
        except CannotLook as error:
            raise CommandError(f"{error}. See whether PostgreSQL runs, then repeat.") from error

    def _choose(self, options: dict[str, Any]) -> tuple[list[Session], list[Session]]:
        """Those to be ended, and those that are spared because they are not the bank's."""
        if (options["pid"] is None) == (options["older_than"] is None):
            raise CommandError("Nothing was done: give either --older-than SECONDS or --pid N.")
        if options["pid"] is not None:
            session = session_of(options["pid"])
            if session is None:
                raise CommandError(f"Nothing was done: there is no session {options['pid']} in this database.")
            found = [session]
        elif options["older_than"] <= 0:
            raise CommandError("Nothing was done: --older-than must be above 0 seconds.")
        else:
            found = transactions_older_than(options["older_than"])
        chosen = [session for session in found if session.own or options["force"]]
        return chosen, [session for session in found if session not in chosen]

    def _tell(self, chosen: list[Session], spared: list[Session], *, dry_run: bool) -> None:
        for line in described(chosen):
            self.stdout.write(line)
        if spared:
            self.stdout.write(f"{len(spared)} are not the bank's and are left alone (--force takes them too):")
            for line in described(spared):
                self.stdout.write(line)
        if dry_run:
            self.stdout.write(f"{len(chosen)} sessions would be ended. Nothing was done: this was a dry run.")

    def _end(self, chosen: list[Session], options: dict[str, Any], reason: str) -> None:
        actor = f"command:{getpass.getuser()}"
        action: Action = "cancel" if options["cancel"] else "terminate"
        outcomes = [
            end(session, action, actor=actor, reason=reason, forced=options["force"]).outcome for session in chosen
        ]
        done, refused = (outcomes.count(o) for o in (Resolution.Outcome.DONE, Resolution.Outcome.REFUSED))
        verb = "cancelled" if options["cancel"] else "ended"
        self.stdout.write(f"{done} {verb}, {len(outcomes) - done - refused} had finished by then, {refused} refused.")
        if refused:
            raise CommandError(NEEDS_RIGHTS)
