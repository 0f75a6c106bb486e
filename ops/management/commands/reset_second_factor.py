"""Forgets a member of staff's authenticator app, from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from ops.audit.record import record_act
from ops.signin import factor, locks, sessions
from ops.signin.models import SignInLock


class Command(BaseCommand):
    help = (
        "Forgets a member of staff's authenticator app and recovery codes, ends their sessions and waits: they set "
        "up a new app at the next sign-in. For the first or last administrator, whom nobody can help in the admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the user name")
        parser.add_argument("--reason", required=True, help="why; it is kept in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("--reason must say why.")
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']}.")
        with transaction.atomic():
            had_one, ended = factor.reset(user), sessions.end_all(user)
            SignInLock.objects.filter(
                key__in=[locks.of_name(user.get_username()).key, locks.of_codes(user).key]
            ).delete()
            record_act(
                actor="system:reset_second_factor",
                action="reset_second_factor",
                subject=f"user:{user.pk}",
                reason=reason,
                done=True,
                detail={"name": user.get_username(), "had_one": had_one, "sessions_ended": ended},
            )
        self.stdout.write(
            f"{user.get_username()} sets up an authenticator app at the next sign-in. Sessions ended: {ended}."
        )
