"""Accounts in the tiered cache: what is kept of one, how it is loaded, and which are used most.

Why a read cannot show the past is argued in `ops.cache`; here is the `load` that the argument rests on.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from accounts.domain.account import Status
from eventstore import arrays
from ops.cache.documents import Codec, Document
from ops.cache.popularity import Popularity
from ops.cache.tiered import TieredCache
from ops.cache.wiring import tiered_cache
from ops.conf import get_settings
from ops.database.exchange import ask

SCHEMA = "account/1"
"""Raise the number when `AccountView` gains, loses or redefines a field."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """A row of `accounts` as it was at `version`. Money in minor units of `currency`; times are aware, in UTC."""

    id: UUID
    owner: str
    currency: str
    product: str
    custodian: str
    overdraft_limit: int
    status: Status
    balance: int
    held: int
    version: int
    opened_at: datetime
    updated_at: datetime

    @property
    def available(self) -> int:
        """What may be spent now: balance and overdraft less what is held."""
        return self.balance + self.overdraft_limit - self.held


_JSON = f"json_build_object({', '.join(f'{field.name!r}, {field.name}' for field in fields(AccountView))})"
_STAMP = "xmin::text"
"""The transaction that wrote the row as it is: it differs also after a repair that left the version alone."""


def account(account_id: UUID, *, at_least: int | None = None) -> AccountView | None:
    """The account as it is now; None if there is none.

    With `at_least`, a version that the caller has seen, the account at that version or a later one, which may be
    some seconds old and mostly costs PostgreSQL nothing.
    """
    key = str(account_id)
    if connection.in_atomic_block:  # sees what the transaction itself has changed: nobody else may be shown that
        document = load(key, None)
    elif at_least is None:
        document = accounts_cache().get(key)
    else:
        document = accounts_cache().get_at_least(key, at_least)
    if document is None:
        return None
    popularity().note(key)
    return document.value


def accounts(ids: Collection[UUID]) -> dict[UUID, AccountView]:
    """Those that there are, as they are now, in one statement. Not within a transaction: see `account`.

    Raises:
        RuntimeError: it is called within one.
    """
    if connection.in_atomic_block:
        raise RuntimeError("what a transaction has changed would be shown to others")
    documents = accounts_cache().get_many([str(id_) for id_ in ids])
    for key in documents:
        popularity().note(key)
    return {document.value.id: document.value for document in documents.values()}


@lru_cache(maxsize=1)
def accounts_cache() -> TieredCache[AccountView]:
    """The cache of this process."""
    return tiered_cache("account", codec=CODEC, load=load, load_many=load_changed)


@lru_cache(maxsize=1)
def popularity() -> Popularity[AccountView]:
    """Which accounts are read most, by all processes."""
    return Popularity(accounts_cache().shared, most=get_settings().cache_max_size)


def load(key: str, known: Document[AccountView] | None) -> Document[AccountView] | None:
    """From the row in PostgreSQL: `known` itself, when a narrow look shows that the row is still the same."""
    if known is not None and known.stamp:
        stamp = _ask(f"SELECT json_build_array(version, {_STAMP}) FROM accounts WHERE id = $1::uuid", key)
        if stamp is None:
            return None
        if stamp == [known.version, known.stamp]:
            return known
    row = _ask(f"SELECT json_build_array({_STAMP}, {_JSON}) FROM accounts WHERE id = $1::uuid", key)
    return None if row is None else _document(row)


def load_changed(known: Mapping[str, Document[AccountView] | None]) -> dict[str, Document[AccountView]]:
    """As `load`, of several, in one statement."""
    rows = _ask(
        f"""
        SELECT json_agg(json_build_array(k.wanted, CASE WHEN a.version = k.version AND a.stamp = k.stamp THEN NULL
                                                        ELSE json_build_array(a.stamp, a.data) END))
          FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS k (wanted, version, stamp)
         CROSS JOIN LATERAL ( -- by key, also where the plan was made while the table was small
                   SELECT version, {_STAMP} AS stamp, {_JSON} AS data FROM accounts WHERE id = k.wanted LIMIT 1) AS a
        """,
        arrays.uuids(map(UUID, known)),
        arrays.bigints(document.version if document else 0 for document in known.values()),
        arrays.texts(document.stamp if document else "" for document in known.values()),
    )
    found: dict[str, Document[AccountView]] = {}
    for key, row in rows or ():
        there = known[key]
        if row is not None:
            found[key] = _document(row)
        elif there is not None:
            found[key] = there
    return found


def load_many(keys: Sequence[str]) -> dict[str, Document[AccountView]]:
    """The accounts that exist among `keys`, in one statement."""
    sql = f"SELECT json_agg(json_build_array({_STAMP}, {_JSON})) FROM accounts WHERE id = ANY ($1::uuid[])"
    documents = map(_document, _ask(sql, arrays.uuids(map(UUID, keys))) or ())
    return {str(document.value.id): document for document in documents}


def _ask(sql: str, *parameters: str | bytes) -> Any:
    """What a prepared statement answers in JSON: a read is short, and planning it would be half of its cost."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        answer = ask(connection.connection, sql, parameters)
    return None if answer is None else orjson.loads(answer)


def _document(row: Sequence[Any]) -> Document[AccountView]:
    stamp, data = row
    view = _load(data)
    return Document(view.version, view, stamp)


def _dump(view: AccountView) -> dict[str, Any]:
    """JSON-ready."""
    return {field.name: _plain(getattr(view, field.name)) for field in fields(view)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _load(data: dict[str, Any]) -> AccountView:
    """What `_dump` made; ValueError, TypeError or KeyError for anything else."""
    for field in fields(AccountView):
        if not isinstance(data[field.name], int if field.type is int else str):
            raise TypeError(f"{field.name} is {data[field.name]!r}")
    converted = {
        "id": UUID(data["id"]),
        "status": Status(data["status"]),
        "opened_at": datetime.fromisoformat(data["opened_at"]),
        "updated_at": datetime.fromisoformat(data["updated_at"]),
    }
    return AccountView(**data | converted)


CODEC = Codec(SCHEMA, dump=_dump, load=_load)
