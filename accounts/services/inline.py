"""The inline read model of the executor: the state of each account at its head, written with its events."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from accounts.domain.account import AGGREGATE_TYPE, Account, Status
from accounts.domain.decide import BookedPosting
from accounts.domain.events import POSTING_TYPES
from eventstore import arrays
from eventstore.appending import Part
from eventstore.registry import decode

STATE_COLUMNS = "id, owner, currency, product, custodian, overdraft_limit, status, balance, held, version"


def account_from_row(row: Sequence[Any]) -> Account:
    """From a row of `STATE_COLUMNS`."""
    id_, owner, currency, product, custodian, overdraft_limit, status, *amounts = row
    return Account(id_, owner, currency, product, custodian, overdraft_limit, Status(status), *amounts)


def send_accounts(conn: psycopg.Connection, ids: Collection[UUID]) -> psycopg.Cursor[Any]:
    """Asks for the states of accounts, whose streams the caller has locked; read them with `fetch_accounts`."""
    return psycopg.Cursor(conn).execute(
        f"SELECT {STATE_COLUMNS} FROM accounts WHERE id = ANY (%s::uuid[])",
        (arrays.plain(ids),),
        prepare=True,
        binary=True,
    )


def fetch_accounts(cursor: psycopg.Cursor[Any]) -> dict[UUID, Account]:
    return {row[0]: account_from_row(row) for row in cursor.fetchall()}


def upsert(accounts: Sequence[Account], changed_at: Sequence[datetime]) -> Part:
    """Brings the rows of changed or new accounts to their states; `changed_at` is when each last changed."""
    moments = arrays.moments(changed_at)
    return Part(
        f"""
        INSERT INTO accounts ({STATE_COLUMNS}, opened_at, updated_at)
        SELECT *
          FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[],
                      %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
            ON CONFLICT (id) DO UPDATE
           SET overdraft_limit = EXCLUDED.overdraft_limit, status = EXCLUDED.status, balance = EXCLUDED.balance,
               held = EXCLUDED.held, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at
        """,
        (
            arrays.plain(account.id for account in accounts),
            arrays.texts(account.owner for account in accounts),
            arrays.texts(account.currency for account in accounts),
            arrays.texts(account.product for account in accounts),
            arrays.texts(account.custodian for account in accounts),
            arrays.plain(account.overdraft_limit for account in accounts),
            arrays.texts(account.status.value for account in accounts),
            arrays.plain(account.balance for account in accounts),
            arrays.plain(account.held for account in accounts),
            arrays.plain(account.version for account in accounts),
            moments,
            moments,
        ),
    )


def read_booked(conn: psycopg.Connection, transaction_ids: Iterable[UUID]) -> dict[UUID, list[BookedPosting]]:
    """The postings of transactions, straight from the books, in the order in which they were made."""
    cursor = psycopg.Cursor(conn).execute(
        """
        SELECT command_id, aggregate_id, version, event_type, schema_version, data::text
          FROM events
         WHERE command_id = ANY (%s::uuid[]) AND event_type = ANY (%s::text[])
         ORDER BY position
        """,
        (list(transaction_ids), sorted(POSTING_TYPES)),
    )
    booked: dict[UUID, list[BookedPosting]] = {}
    for command_id, account_id, version, event_type, schema_version, data in cursor.fetchall():
        event = decode(AGGREGATE_TYPE, event_type, schema_version, orjson.loads(data))
        booked.setdefault(command_id, []).append(BookedPosting(account_id, version, event))
    return booked


def send_reversals(conn: psycopg.Connection, transaction_ids: Iterable[UUID]) -> psycopg.Cursor[Any]:
    """Asks for (transaction, its reversal) of those that were reversed."""
    return psycopg.Cursor(conn).execute(
        "SELECT transaction_id, reversed_by FROM reversals WHERE transaction_id = ANY (%s::uuid[])",
        (list(transaction_ids),),
    )


def insert_reversals(reversals: Sequence[tuple[UUID, UUID]]) -> Part:
    """Remembers which transaction was reversed by which; each can be reversed once."""
    return Part(
        "INSERT INTO reversals (transaction_id, reversed_by) SELECT * FROM unnest(%s::uuid[], %s::uuid[])",
        (arrays.plain(original for original, _ in reversals), arrays.plain(reversal for _, reversal in reversals)),
    )
