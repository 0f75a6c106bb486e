"""The proof of one account: its hash chain recomputed link by link, and what follows from it compared.

`accounts.verification` proves everything at once; this proves one stream, and shows each link of it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from msgspec.structs import asdict

from accounts.domain.holds import Hold as HoldState
from accounts.models import Account, Hold
from accounts.projections.accounts import account_row, fold_hold
from eventstore import store
from eventstore.events import StoredEvent
from eventstore.hashing import GENESIS
from eventstore.models import Stream

MOST_LINKS = 20_000
"""Links that are recomputed for one page: some seconds. A job knows no such limit."""
EVERY = 500
"""Links between two tellings of how far it is."""


@dataclass(frozen=True, slots=True)
class Link:
    """An event with the hash that is stored for it and the one that its content and the link before it make."""

    stored: StoredEvent
    recomputed: bytes
    expected_version: int

    @property
    def trouble(self) -> str:
        """Empty where the link holds."""
        version = self.stored.version
        if version != self.expected_version:
            return f"Version {self.expected_version} is missing before version {version}."
        if self.recomputed != self.stored.hash:
            return f"Version {version}: the stored hash does not fit the event and the link before it."
        return ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One thing that must agree with the events: what it says, and what they make."""

    what: str
    says: object
    events_make: object

    @property
    def agrees(self) -> bool:
        return self.says == self.events_make


@dataclass(frozen=True, slots=True)
class WholeChain:
    """All links up to a limit: the first troubles, whether that was all of the stream, and how many events its head
    knows of that are not there any more."""

    links: int
    troubles: list[Link]
    broken: int
    more: bool
    cut_off: int


@contextmanager
def one_instant() -> Iterator[None]:
    """Everything that is read inside is as of one moment, while the bank goes on working."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def links(account_id: UUID, *, after: int, upto: int | None = None) -> Iterator[Link]:
    """The links of the versions in (after, upto], each recomputed from the stored hash of the one before it."""
    previous, expected = GENESIS, after + 1
    if after:
        before = next(store.read_stream(account_id, after_version=after - 1, upto_version=after), None)
        previous = before.hash if before else GENESIS
    for stored in store.read_stream(account_id, after_version=after, upto_version=upto):
        yield Link(stored, stored.hash_after(previous), expected)
        previous, expected = stored.hash, stored.version + 1


def whole_chain(
    account_id: UUID,
    kept: int,
    *,
    no_limit: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WholeChain:
    """Every link from the first event on, at most `MOST_LINKS` unless `no_limit`; `kept` of the troubles are told."""
    most = None if no_limit else MOST_LINKS
    head = store.version_of(account_id)
    count = last = broken = 0
    troubles: list[Link] = []
    for link in links(account_id, after=0, upto=most):
        count, last = count + 1, link.stored.version
        if link.trouble:
            broken += 1
            if len(troubles) < kept:
                troubles.append(link)
        if count % EVERY == 0:
            progress(count, head)
    upto = head if most is None else min(head, most)
    return WholeChain(count, troubles, broken, more=head > upto, cut_off=max(upto - last, 0))


def head_agreements(account_id: UUID) -> list[Agreement]:
    """Whether the stream's head, which writers build on, is that of its last event."""
    head = Stream.objects.filter(pk=account_id).first()
    last = _last_event(account_id)
    if head is None or last is None:
        return [Agreement("Stream", "there is a head" if head else "there is no head", "there are no events")]
    return [
        Agreement("Version of the head", head.version, last.version),
        Agreement("Hash of the head", bytes(head.head_hash).hex(), last.hash.hex()),
        Agreement("Moment of the head", head.last_timestamp, last.timestamp),
    ]


def row_agreements(account_id: UUID, *, use_snapshots: bool) -> list[Agreement]:
    """Whether the account's row, which pages and the API show, is what its events make.

    Raises:
        what `accounts.explaining.FOLD_ERRORS` lists: the events cannot be folded.
    """
    row: Mapping[str, Any] | None = Account.objects.filter(pk=account_id).values().first()
    first = next(store.read_stream(account_id, upto_version=1), None)
    last = _last_event(account_id)
    if row is None or first is None or last is None:
        return [Agreement("Account", "there is a row" if row else "there is no row", "something else")]
    state = store.load(account_id, use_snapshots=use_snapshots).state
    return [Agreement(name, row[name], value) for name, value in account_row(state, first, last).items()]


def hold_agreements(account_id: UUID) -> list[Agreement]:
    """Where the rows of the account's holds are not what its events make, field by field, in the order of ids.

    Raises:
        what `accounts.explaining.FOLD_ERRORS` lists: the events cannot be folded.
    """
    holds: dict[UUID, HoldState] = {}
    for stored in store.read_stream(account_id):
        fold_hold(holds, stored)
    rows: dict[UUID, Mapping[str, Any]] = {
        row["id"]: row for row in Hold.objects.filter(account_id=account_id).values()
    }
    found: list[Agreement] = []
    for hold_id in sorted(rows.keys() | holds.keys()):
        row, hold = rows.get(hold_id), holds.get(hold_id)
        if row is None or hold is None:
            says, made = ("there", "none") if row else ("missing", "one")
            found.append(Agreement(f"Row of hold {hold_id}", says, made))
        else:
            each = (Agreement(f"{name} of hold {hold_id}", row[name], value) for name, value in asdict(hold).items())
            found += [agreement for agreement in each if not agreement.agrees]
    return found


def _last_event(account_id: UUID) -> StoredEvent | None:
    """By the events themselves, not by the head that is to be compared with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(version) FROM events WHERE aggregate_id = %s", (account_id,))
        (version,) = cursor.fetchone()
    return next(store.read_stream(account_id, after_version=version - 1, upto_version=version)) if version else None
