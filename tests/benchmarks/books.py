"""The bank that the contenders use: a thousand accounts in one client's care, and what must hold after each."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts.api.scopes import ACCOUNTS_ADMIN, ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from accounts.domain.commands import Deposit, OpenAccount
from accounts.services import Executed, execute
from eventstore.events import new_id
from ops.access.keys import issue_key
from ops.models import ApiClient
from tests.bank import Bank

ACCOUNTS = 1000
OPENING = "1000000.00"
SETTLED_WITHIN = 30.0
MONEY = "SELECT coalesce(sum(balance), 0) FROM accounts"
LAST = "SELECT coalesce(max(position), 0) FROM events"
WITH_HOLES = """
SELECT count(*) FROM (
    SELECT e.aggregate_id FROM events e JOIN streams s USING (aggregate_id) JOIN accounts a ON a.id = s.aggregate_id
     WHERE e.position > %s GROUP BY e.aggregate_id, s.version, a.version
    HAVING count(*) <> max(e.version) - min(e.version) + 1 OR max(e.version) <> s.version OR s.version <> a.version
) holes
"""
UNBALANCED = """
SELECT count(*) FROM (
    SELECT FROM events WHERE position > %s GROUP BY command_id
    HAVING count(*) <> 2 OR sum((data->>'amount')::bigint) <> 0
) unbalanced
"""


@dataclass(frozen=True)
class Mark:
    """Where the books stood before a contender ran."""

    position: int
    money: int


class Books:
    def __init__(self) -> None:
        self.client = ApiClient.objects.create(name=f"bench-{new_id().hex}")
        scopes = [ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE, ACCOUNTS_ADMIN]
        expires = timezone.now() + timedelta(days=1)
        _, self.token = issue_key(client=self.client, scopes=scopes, expires_at=expires, issued_by=None)
        self.bank = Bank()
        self.ids: list[UUID] = [new_id() for _ in range(ACCOUNTS)]
        self._do([OpenAccount(account, "Ann", "EUR", custodian=self.client.actor) for account in self.ids])
        self._do([Deposit(account, self.bank.money(OPENING)) for account in self.ids])
        with tempfile.NamedTemporaryFile("w", suffix=".ids", delete=False) as file:
            file.write("\n".join(map(str, self.ids)) + "\n")
        self.file = Path(file.name)

    def _do(self, commands: Sequence[OpenAccount | Deposit]) -> None:
        outcomes = execute([self.bank.envelope(command) for command in commands])
        assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes

    def mark(self) -> Mark:
        return Mark(_one(LAST), _one(MONEY))

    def wrong(self, before: Mark, acknowledged: int, unanswered: int = 0) -> tuple[str, ...]:
        """What does not hold, in sentences. Up to `unanswered` transfers may have happened whose answers nobody
        waited for: those that were under way when the load ended."""
        sentences = []
        if (money := _one(MONEY)) != before.money:
            sentences.append(f"money changed by {money - before.money}")
        if holes := _one(WITH_HOLES, before.position):
            sentences.append(f"{holes} streams have holes in their versions")
        if unbalanced := _one(UNBALANCED, before.position):
            sentences.append(f"{unbalanced} transactions do not sum to zero")
        done = _one("SELECT count(*) FROM events WHERE position > %s", before.position) // 2
        if not acknowledged <= done <= acknowledged + unanswered:
            sentences.append(f"{acknowledged} transfers were acknowledged and {done} made")
        return tuple(sentences)

    def settle(self) -> None:
        """Waits until what was under way when a load ended is over: a second without a new event."""
        deadline, last = time.monotonic() + SETTLED_WITHIN, -1
        while (now := _one(LAST)) != last:
            if time.monotonic() > deadline:
                raise SystemExit("Events are still being written long after the load ended.")
            last = now
            time.sleep(1)

    def close(self) -> None:
        self.file.unlink(missing_ok=True)


def _one(query: str, *parameters: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        (value,) = cursor.fetchone()
    return int(value)
