"""Issues an API key from the command line."""

import getpass
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from ops.access.keys import KeyNotIssued, issue_key
from ops.access.scopes import OPS_READ, OPS_WRITE, known_scopes
from ops.audit.record import record_act
from ops.models import ApiClient

LONGEST_DAYS = 366


class Command(BaseCommand):
    help = "Issues a key for an API client, which is made if it is new. The key is printed once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="name of the client: letters, digits, hyphens")
        parser.add_argument(
            "--scope",
            action="append",
            metavar="SCOPE",
            help="may be repeated; default: all but ops:read and ops:write",
        )
        parser.add_argument("--reach", choices=ApiClient.Reach.values, help="for a new client (default own)")
        parser.add_argument(
            "--days", type=int, default=30, help=f"until it expires, 1 to {LONGEST_DAYS} (default 30)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= LONGEST_DAYS:
            raise CommandError(f"--days must lie between 1 and {LONGEST_DAYS}.")
        client = ApiClient.objects.filter(name=options["client"]).first()
        if client is None:
            client = ApiClient(name=options["client"], reach=options["reach"] or ApiClient.Reach.OWN)
        elif options["reach"] not in (None, client.reach):
            raise CommandError(
                f"{client} exists with reach “{client.reach}”: change that in the admin. No key was issued."
            )
        scopes = options["scope"] or sorted(known_scopes().keys() - {OPS_READ, OPS_WRITE})
        try:
            with transaction.atomic():  # the client, the key, and their records
                if client.pk is None:
                    client.full_clean()
                    client.save()
                    detail = {"name": client.name, "reach": client.reach}
                    _record("add_apiclient", f"apiclient:{client.pk}", detail)
                key, token = issue_key(
                    client=client,
                    scopes=scopes,
                    expires_at=timezone.now() + timedelta(days=options["days"]),
                    issued_by=None,
                )
                detail = {"client": client.name, "scopes": key.scopes, "expires_at": key.expires_at.isoformat()}
                _record("issue_key", f"apikey:{key.prefix}", detail)
        except ValidationError as error:
            raise CommandError(f"No key was issued: {' '.join(error.messages)}") from error
        except KeyNotIssued as error:
            raise CommandError(f"No key was issued: {error.message} Scopes: {', '.join(known_scopes())}.") from error
        self.stdout.write(token)


def _record(action: str, subject: str, detail: dict[str, Any]) -> None:
    actor = f"command:{getpass.getuser()}"
    record_act(actor=actor, action=action, subject=subject, reason="from the command line", done=True, detail=detail)
