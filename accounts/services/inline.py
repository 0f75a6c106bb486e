"""The inline read model of the executor: the states of accounts and holds, written with the events that make them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import convert

from accounts.domain.account import AGGREGATE_TYPE, Account, Status
from accounts.domain.events import POSTING_TYPES, to_data
from accounts.domain.facts import BookedPosting
from accounts.domain.holds import Hold
from eventstore import arrays
from eventstore.errors import BrokenHistory
from eventstore.registry import decode
from ops.database.exchange import Answer, Exchange, Part

STATE_COLUMNS = "id, owner, currency, product, custodian, overdraft_limit, status, balance, held, version"


_STATES = f"""
    SELECT {STATE_COLUMNS}
      FROM unnest($1::uuid[]) AS k (wanted)
     CROSS JOIN LATERAL ( -- by key, also where the plan was made while the table was small
               SELECT {STATE_COLUMNS} FROM accounts WHERE id = k.wanted LIMIT 1) AS a
"""
_STATUSES = {status.encode(): status for status in Status}


def send_accounts(exchange: Exchange, ids: Collection[UUID]) -> Answer:
    """Asks for the states of accounts, whose streams the caller has locked; read them with `fetch_accounts`."""
    return exchange.send(_STATES, (arrays.uuids(ids),))


def fetch_accounts(answer: Answer) -> dict[UUID, Account]:
    """The accounts that there are."""
    states = (
        Account(
            UUID(id_.decode()), owner.decode(), currency.decode(), product.decode(), custodian.decode(),
            int(overdraft_limit), _STATUSES[status], int(balance), int(held), int(version),
        )
        for id_, owner, currency, product, custodian, overdraft_limit, status, balance, held, version in answer.rows()
    )  # fmt: skip
    return {state.id: state for state in states}


def _rows(answer: Answer) -> list[list[Any]]:
    return orjson.loads(answer.value() or b"[]")


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
            arrays.uuids(account.id for account in accounts),
            arrays.texts(account.owner for account in accounts),
            arrays.texts(account.currency for account in accounts),
            arrays.texts(account.product for account in accounts),
            arrays.texts(account.custodian for account in accounts),
            arrays.bigints(account.overdraft_limit for account in accounts),
            arrays.texts(account.status.value for account in accounts),
            arrays.bigints(account.balance for account in accounts),
            arrays.bigints(account.held for account in accounts),
            arrays.bigints(account.version for account in accounts),
            moments,
            moments,
        ),
    )


def read_booked(exchange: Exchange, transaction_ids: Iterable[UUID]) -> dict[UUID, list[BookedPosting]]:
    """The postings of transactions, straight from the books, in the order in which they were made.

    Raises:
        UnknownEventType, BrokenHistory: one cannot be read.
    """
    answer = exchange.send(
        """
        SELECT json_agg(json_build_array(command_id, aggregate_id, version, event_type, schema_version, data)
                        ORDER BY position)
          FROM events
         WHERE command_id = ANY ($1::uuid[]) AND event_type = ANY ($2::text[])
        """,
        (arrays.uuids(transaction_ids), arrays.texts(sorted(POSTING_TYPES))),
    )
    booked: dict[UUID, list[BookedPosting]] = {}
    for command_id, account_id, version, event_type, schema_version, data in _rows(answer):
        try:
            event = decode(AGGREGATE_TYPE, event_type, schema_version, data)
        except (TypeError, ValueError, KeyError) as error:
            raise BrokenHistory(f"transaction {command_id} has an event that cannot be read: {error!r}") from error
        booked.setdefault(UUID(command_id), []).append(BookedPosting(UUID(account_id), version, event))
    return booked


def send_reversals(exchange: Exchange, transaction_ids: Iterable[UUID]) -> Answer:
    """Asks for those that were reversed; read them with `fetch_reversals`."""
    return exchange.send(
        "SELECT json_agg(json_build_array(transaction_id, reversed_by)) FROM reversals"
        " WHERE transaction_id = ANY ($1::uuid[])",
        (arrays.uuids(transaction_ids),),
    )


def fetch_reversals(answer: Answer) -> dict[UUID, UUID]:
    """The reversal of each transaction."""
    return {UUID(transaction_id): UUID(reversed_by) for transaction_id, reversed_by in _rows(answer)}


def insert_reversals(reversals: Sequence[tuple[UUID, UUID]]) -> Part:
    """Remembers which transaction was reversed by which; each can be reversed once."""
    return Part(
        "INSERT INTO reversals (transaction_id, reversed_by) SELECT * FROM unnest(%s::uuid[], %s::uuid[])",
        (arrays.uuids(original for original, _ in reversals), arrays.uuids(reversal for _, reversal in reversals)),
    )


_HOLD = ", ".join(Hold.__struct_fields__)


_HOLDS_BY_KEY = """
    unnest($1::uuid[]) AS k (wanted)
    CROSS JOIN LATERAL (SELECT * FROM holds WHERE id = k.wanted LIMIT 1) AS hold
"""
"""As in `_STATES`."""


def read_holders(exchange: Exchange, hold_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The account of each hold that there is; that never changes."""
    answer = exchange.send(
        f"SELECT json_agg(json_build_array(id, account_id)) FROM {_HOLDS_BY_KEY}", (arrays.uuids(hold_ids),)
    )
    return {UUID(hold_id): UUID(account_id) for hold_id, account_id in _rows(answer)}


def send_holds(exchange: Exchange, ids: Iterable[UUID]) -> Answer:
    """Asks for holds; read them with `fetch_holds`. They change only while their account's stream is locked."""
    return exchange.send(f"SELECT json_agg(row_to_json(hold)) FROM {_HOLDS_BY_KEY}", (arrays.uuids(ids),))


def fetch_holds(answer: Answer) -> dict[UUID, Hold]:
    """The holds that there are."""
    return {hold.id: hold for hold in convert(_rows(answer), list[Hold])}


def insert_holds(holds: Iterable[Hold]) -> Part:
    """Adds the rows of holds that were placed; an id that is taken fails the statement."""
    return Part(
        f"INSERT INTO holds ({_HOLD}) SELECT {_HOLD} FROM json_populate_recordset(NULL::holds, %s::json)",
        (_as_json(holds),),
    )


def update_holds(holds: Iterable[Hold]) -> Part:
    """Brings the rows of holds that were there before to their states. (By conflict: that finds each by its key,
    whatever the table was like when the plan was made.)"""
    return Part(
        f"""
        INSERT INTO holds ({_HOLD})
        SELECT {_HOLD} FROM json_populate_recordset(NULL::holds, %s::json)
            ON CONFLICT (id) DO UPDATE
           SET amount = EXCLUDED.amount, expires_at = EXCLUDED.expires_at, captured = EXCLUDED.captured,
               released = EXCLUDED.released, status = EXCLUDED.status, closed_at = EXCLUDED.closed_at
        """,
        (_as_json(holds),),
    )


def _as_json(holds: Iterable[Hold]) -> bytes:
    return orjson.dumps([to_data(hold) for hold in holds])
