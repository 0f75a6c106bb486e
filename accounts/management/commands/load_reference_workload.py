"""Runs the reference's workload against a running bank, through its public API."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

import urllib3
from django.core.management.base import CommandError
from django.db.models import Count, Sum
from django.utils import timezone

from accounts.api.scopes import ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from accounts.domain.money import format_minor, parse_decimal
from accounts.models import Account
from accounts.workload import CLOSING, MOVEMENTS, READS_PER_ACCOUNT, Phase, Workload, WorkloadFailed
from ops.access.keys import issue_key, revoke_key
from ops.management.working import WorkingCommand
from ops.models import ApiClient
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Opens accounts at 1,000.00, makes ten movements on each and reads each balance 64 times, over the HTTP API "
        "of a running bank; then checks that each account holds exactly 1,025.00."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--accounts", type=int, default=10_000, help="how many accounts (default 10000)")
        parser.add_argument("--url", default="http://127.0.0.1:3000", help="the running bank (default port 3000)")
        parser.add_argument(
            "--reads-per-account",
            type=int,
            default=READS_PER_ACCOUNT,
            help=f"balance reads after the movements (default {READS_PER_ACCOUNT}; 0 leaves them out)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        count = options["accounts"]
        if not 1 <= count <= 1_000_000:
            raise CommandError("--accounts must lie between 1 and 1000000.")
        client = ApiClient.objects.create(name=f"reference-{timezone.now():%Y%m%d-%H%M%S-%f}")
        key, token = issue_key(
            client=client,
            scopes=[ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE],
            expires_at=timezone.now() + timedelta(hours=6),
            issued_by=None,
        )
        try:
            for phase in self._phases(Workload(options["url"], token), count, options["reads_per_account"]):
                self.stdout.write(f"{phase.count:>9,} {phase.name:<16} {phase.seconds:8.1f} s {phase.rate:10,.0f}/s")
        except (WorkloadFailed, urllib3.exceptions.HTTPError) as error:
            raise CommandError(f"The workload stopped: {error}. Is the bank running at {options['url']}?") from error
        finally:
            revoke_key(key)
        self._check(client, count)

    def _phases(self, workload: Workload, count: int, reads: int) -> list[Phase]:
        with bar("account") as progress:
            ids, opened = workload.open_accounts(count, progress)
        with bar("movement") as progress:
            moved = workload.move_money(ids, progress)
        if not reads:
            return [opened, moved]
        with bar("read") as progress:
            return [opened, moved, workload.read_balances(ids, reads, progress)]

    def _check(self, client: ApiClient, count: int) -> None:
        closing = parse_decimal(CLOSING, "EUR")
        accounts = Account.objects.filter(custodian=client.actor)
        found = accounts.aggregate(accounts=Count("id"), total=Sum("balance"), events=Sum("version"))
        wrong = accounts.exclude(balance=closing).count()
        events = count * (1 + len(MOVEMENTS))
        expected = {"accounts": count, "total": count * closing, "events": events}
        if wrong or found != expected:
            raise CommandError(f"It does not add up: {wrong} accounts are wrong; found {found}, expected {expected}.")
        self.stdout.write(
            f"Each of {count:,} accounts holds exactly {CLOSING}; "
            f"together {format_minor(found['total'], 'EUR')} EUR in {events:,} events."
        )
