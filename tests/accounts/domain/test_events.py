"""Every event survives its way into the store and back."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from accounts.domain import events as e
from accounts.domain.account import BrokenStream, evolve
from accounts.domain.journal import imbalances, journal_lines
from eventstore.hashing import canonical_json

POSTING = {
    "amount": -500,
    "currency": "EUR",
    "contra": "cash:EUR",
    "value_date": date(2026, 1, 31),
    "balance": 700,
    "description": "Miete 🏠",
}
ID = UUID(int=7)
EVENTS = [
    e.AccountOpened(
        **{**POSTING, "amount": 1, "balance": 1}, owner="Ann", product="current", overdraft_limit=0, custodian="bank"
    ),
    e.Deposited(**POSTING),
    e.Withdrawn(**POSTING),
    e.TransferSent(**POSTING),
    e.TransferReceived(**POSTING),
    e.PostingReversed(**POSTING, reverses=ID, reverses_version=3),
    e.HoldPlaced(
        hold_id=ID,
        amount=500,
        currency="EUR",
        contra="cards:EUR",
        expires_at=datetime(2026, 2, 1, tzinfo=UTC),
        held=500,
    ),
    e.HoldCaptured(**POSTING, hold_id=ID, released=100, held=0),
    e.HoldExtended(hold_id=ID, amount=300, expires_at=datetime(2026, 2, 9, tzinfo=UTC), held=800),
    e.HoldReleased(hold_id=ID, amount=500, held=0),
    e.HoldExpired(hold_id=ID, amount=500, held=0),
    e.OverdraftLimitChanged(overdraft_limit=100, previous=0),
    e.AccountFrozen(),
    e.AccountUnfrozen(),
    e.AccountClosed(),
]


def test_each_event_type_is_tried_here() -> None:
    assert {type(event).__name__ for event in EVENTS} == set(e.EVENT_CLASSES)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_data_as_it_was(event: e.Event) -> None:
    data = e.to_data(event)
    canonical_json(data)  # holds nothing that JSON would alter
    assert e.from_data(type(event).__name__, data) == event


def test_an_event_whose_recorded_balance_disagrees_stops_the_fold() -> None:
    account = evolve(None, ID, EVENTS[0])
    with pytest.raises(BrokenStream, match="records a balance of 700"):
        evolve(account, ID, e.Deposited(**POSTING))


@pytest.mark.parametrize(
    "event",
    [
        e.HoldReleased(hold_id=ID, amount=1, held=0),
        e.HoldExpired(hold_id=ID, amount=1, held=-1),
        e.HoldExtended(hold_id=ID, amount=-1, expires_at=datetime(2026, 2, 9, tzinfo=UTC), held=0),
    ],
)
def test_an_event_whose_recorded_holding_disagrees_stops_the_fold(event: e.Event) -> None:
    account = evolve(None, ID, EVENTS[0])
    with pytest.raises(BrokenStream, match="as held; the events before it make -1"):
        evolve(account, ID, event)


def test_a_stream_that_does_not_begin_with_an_opening_is_broken() -> None:
    with pytest.raises(BrokenStream):
        evolve(None, ID, e.AccountFrozen())


def test_a_posting_against_an_internal_account_balances_by_itself() -> None:
    lines = journal_lines(ID, e.Withdrawn(**POSTING))
    assert [(line.ledger_account, line.amount) for line in lines] == [(f"account:{ID}", -500), ("cash:EUR", 500)]
    assert sum(line.amount for line in lines) == 0
    assert imbalances([e.Withdrawn(**POSTING)]) == {}


def test_one_end_of_a_transfer_does_not_balance_without_the_other() -> None:
    sent = e.TransferSent(**{**POSTING, "contra": f"account:{UUID(int=8)}"})
    assert [line.amount for line in journal_lines(ID, sent)] == [-500]
    assert imbalances([sent]) == {"EUR": -500}
