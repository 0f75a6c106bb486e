"""The server's time for every list of the admin and the pages of a busy account, on large tables: `make bench-lists`.

EVENTS (default 10,000,000) comes from the environment; a tenth as many accounts. The tables are filled by COPY, in a
database that is thrown away. Goal: no page takes longer than 150 ms. Hashes are made up, so no chain holds here.
"""

import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import django
import psycopg

django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402

from accounts.domain.account import AGGREGATE_TYPE, Account, Status  # noqa: E402
from eventstore import snapshots  # noqa: E402
from ops.admin.lists import KeysetAdmin  # noqa: E402
from tests.staff import make_superuser, signed_in  # noqa: E402

EVENTS = int(os.environ.get("EVENTS") or 10_000_000)
ACCOUNTS = max(EVENTS // 10, 1)
GOAL = 150
"""Milliseconds."""
ROUNDS = 5
BUSY = 0
"""The account that takes one event in a hundred."""
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
EVENT_TABLES = ("events", "streams", "accounts", "transactions", "journal_lines", "daily_balances")

COPIES = {
    "events": "position, aggregate_id, aggregate_type, version, event_id, event_type, schema_version, command_id, "
    "data, metadata, timestamp, hash",
    "transactions": "position, account_id, version, transaction_id, kind, amount, currency, balance, contra, "
    "description, value_date, recorded_at",
    "journal_lines": "id, transaction_id, ledger_account, currency, amount, value_date, recorded_at",
}
DAYS = """
INSERT INTO daily_balances (account_id, day, currency, closing_balance, credits, debits, postings, version)
SELECT account_id, day, 'EUR', (array_agg(balance ORDER BY version DESC))[1], sum(greatest(amount, 0)),
       sum(least(amount, 0)), count(*), max(version)
  FROM (SELECT *, (recorded_at AT TIME ZONE 'UTC')::date AS day FROM transactions) t GROUP BY account_id, day
"""


def main() -> None:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        conn.execute(
            "SET session_replication_role = replica"
        )  # foreign keys and triggers cost, and prove nothing here
        (there,) = conn.execute("SELECT count(*) FROM (SELECT FROM events LIMIT 1) e").fetchone() or (0,)
        if there:
            raise SystemExit(
                "There are events in this database: the benchmark fills an empty one, thrown away later."
            )
        fill(conn)
    user = User.objects.filter(is_superuser=True).first() or make_superuser("bench")
    worst = measure(user)
    print(f"worst {worst:.0f} ms, goal {GOAL} ms")
    sys.exit(1 if worst > GOAL else 0)


def account_id(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012x}"


def fill(conn: psycopg.Connection) -> None:
    began = time.perf_counter()
    indexes = list(without_indexes(conn))
    books = Books()
    with (
        psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as second,
        psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as third,
    ):
        for other in (second, third):
            other.execute("SET session_replication_role = replica")
        with (
            conn.cursor().copy(f"COPY events ({COPIES['events']}) FROM STDIN") as events,
            second.cursor().copy(f"COPY transactions ({COPIES['transactions']}) FROM STDIN") as transactions,
            third.cursor().copy(f"COPY journal_lines ({COPIES['journal_lines']}) FROM STDIN") as journal,
        ):
            for chunk in books.chunks():
                for copy, text in zip((events, transactions, journal), chunk, strict=True):
                    copy.write(text)
    copy_heads(conn, books)
    print(f"{EVENTS} events of {ACCOUNTS} accounts copied in {time.perf_counter() - began:.0f} s", flush=True)
    conn.execute("SET maintenance_work_mem = '1GB'")
    conn.execute(DAYS)  # type: ignore[arg-type]
    for definition in indexes:
        conn.execute(definition)  # type: ignore[arg-type]
    conn.execute("SELECT setval('events_position_seq', %s)", (EVENTS,))
    conn.execute("VACUUM ANALYZE")
    for version, position, balance in books.kept:
        state = Account(
            UUID(account_id(BUSY)), "Owner 0", "EUR", "current", "bank", 0, Status.OPEN, balance, 0, version
        )
        snapshots.save(AGGREGATE_TYPE, snapshots.Snapshot(state.id, version, position, state))
    print(f"indexes, read models and statistics: {time.perf_counter() - began:.0f} s in all", flush=True)


def without_indexes(conn: psycopg.Connection) -> Iterator[str]:
    """Drops the indexes that belong to no constraint, and gives their definitions: built at once they take less."""
    rows = conn.execute(
        "SELECT i.indexname, i.indexdef FROM pg_indexes i LEFT JOIN pg_constraint c ON c.conname = i.indexname"
        " WHERE i.schemaname = 'public' AND i.tablename = ANY (%s) AND c.oid IS NULL",
        (list(EVENT_TABLES),),
    ).fetchall()
    for name, definition in rows:
        conn.execute(f'DROP INDEX "{name}"')  # type: ignore[arg-type]
        yield definition


class Books:
    """Openings first, then money in and out, with versions and balances that fit: folds of it work."""

    def __init__(self) -> None:
        self.versions = [0] * ACCOUNTS
        self.balances = [0] * ACCOUNTS
        self.kept: list[tuple[int, int, int]] = []
        """Version, position and balance of the busy account, where the bank would take a snapshot."""

    def chunks(self, size: int = 20_000) -> Iterator[tuple[str, str, str]]:
        """Lines for COPY of events, transactions and journal lines."""
        chance = random.Random(5)
        lines: tuple[list[str], list[str], list[str]] = ([], [], [])
        for position in range(1, EVENTS + 1):
            if position <= ACCOUNTS:
                number = position - 1
            else:
                number = BUSY if position % 100 == 0 else chance.randrange(ACCOUNTS)
            self._event(position, number, lines)
            if position % size == 0 or position == EVENTS:
                yield "".join(lines[0]), "".join(lines[1]), "".join(lines[2])
                for each in lines:
                    each.clear()

    def _event(self, position: int, number: int, lines: tuple[list[str], list[str], list[str]]) -> None:
        is_opening = not self.versions[number]
        self.versions[number] = version = self.versions[number] + 1
        amount = 0 if is_opening else 1000 + position % 500 if version % 2 == 0 else -(position % 400) - 1
        self.balances[number] = balance = self.balances[number] + amount
        moment = BEGAN + timedelta(seconds=3 * position)
        account, command = account_id(number), f"01910000-0000-7000-8000-{position:012x}"
        kind = "AccountOpened" if is_opening else "Deposited" if amount > 0 else "Withdrawn"
        data = (
            f'{{"amount": {amount}, "currency": "EUR", "contra": "cash:EUR", "value_date": "{moment:%Y-%m-%d}", '
            f'"balance": {balance}, "description": ""'
        )
        if is_opening:
            data += f', "owner": "Owner {number}", "product": "current", "overdraft_limit": 0, "custodian": "bank"'
        hashed = sha256(command.encode()).hexdigest()
        lines[0].append(
            f"{position}\t{account}\taccount\t{version}\t{command}\t{kind}\t1\t{command}\t{data}}}\t"
            f'{{"actor": "client:bench", "source": "api"}}\t{moment}\t\\\\x{hashed}\n'
        )
        if amount:
            tail = f"{moment:%Y-%m-%d}\t{moment}\n"
            lines[1].append(
                f"{position}\t{account}\t{version}\t{command}\t{kind}\t{amount}\tEUR\t{balance}\tcash:EUR\t\t{tail}"
            )
            lines[2].append(f"{2 * position}\t{command}\taccount:{account}\tEUR\t{amount}\t{tail}")
            lines[2].append(f"{2 * position + 1}\t{command}\tcash:EUR\tEUR\t{-amount}\t{tail}")
        if number == BUSY and version % 100 == 0:
            self.kept.append((version, position, balance))


def copy_heads(conn: psycopg.Connection, books: Books) -> None:
    """The streams and the accounts as they stand in the end."""
    with conn.cursor().copy(
        "COPY accounts (id, owner, currency, product, custodian, overdraft_limit, status, balance, held, version,"
        " opened_at, updated_at) FROM STDIN"
    ) as copy:
        for number in range(ACCOUNTS):
            status = "frozen" if number % 1000 == 1 else "open"
            owner = f"Owner {number % 50_000}"
            copy.write(
                f"{account_id(number)}\t{owner}\tEUR\tcurrent\tbank\t0\t{status}\t{books.balances[number]}\t0\t"
                f"{books.versions[number]}\t{BEGAN}\t{BEGAN}\n"
            )
    with conn.cursor().copy(
        "COPY streams (aggregate_id, aggregate_type, version, head_hash, last_timestamp) FROM STDIN"
    ) as copy:
        for number in range(ACCOUNTS):
            copy.write(f"{account_id(number)}\taccount\t{books.versions[number]}\t\\\\x{'00' * 32}\t{BEGAN}\n")


def pages() -> dict[str, str]:
    """What is measured: name to address."""
    account = account_id(ACCOUNTS // 2)
    busy, then = f"/admin/accounts/account/{account_id(BUSY)}", BEGAN + timedelta(seconds=EVENTS)
    window = f"since={then:%Y-%m-%dT%H:%M}&until={then + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    found = {"overview": "/admin/"}
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, KeysetAdmin):
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            found[f"{model._meta.label_lower}"] = base
            found[f"{model._meta.label_lower}, last page"] = f"{base}?end=1"
    narrowed = {
        "accounts/account": ("status=frozen", "search=owner+77", "search=o", "currency=EUR&end=1", "product=savings"),
        "accounts/transaction": (f"account={account}", f"account={account_id(BUSY)}&end=1", f"at={EVENTS // 2}"),
        "accounts/journalline": ("ledger=cash:EUR", f"ledger=account:{account}"),
        "accounts/dailybalance": (f"account={account_id(BUSY)}",),
        "eventstore/event": (
            f"stream={account_id(BUSY)}",
            "event_type=Deposited",
            "event_type=AccountOpened&end=1",
            window,
            f"{window}&event_type=Withdrawn",
            f"at={EVENTS // 2}",
        ),
        "eventstore/stream": (f"stream={account}",),
    }
    for base, queries in narrowed.items():
        found |= {f"{base}?{query}": f"/admin/{base}/?{query}" for query in queries}
    for page in ("change/", "statement/", "as-of/?version=150", "fold/", "fold/?from=start", "chain/"):
        found[f"busy account {page}"] = f"{busy}/{page}"
    found["export of accounts, its preview"] = "/admin/accounts/account/export/"
    return found


def measure(user: User) -> float:
    """Prints the median and the worst of some requests to each page; returns the worst median."""
    client, worst = signed_in(user), 0.0
    client.defaults["SERVER_NAME"] = "localhost"
    logging.disable(logging.WARNING)  # a line for each request costs, and is in the way here
    for name, url in pages().items():
        client.get(url)  # templates and connections are there
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            status = client.get(url).status_code
            times.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise SystemExit(f"GET {url}: {status}")
        median = statistics.median(times)
        worst = max(worst, median)
        print(f"{'!' if median > GOAL else ' '} {name:<70} {median:7.1f} ms, most {max(times):7.1f}", flush=True)
    return worst


if __name__ == "__main__":
    main()
