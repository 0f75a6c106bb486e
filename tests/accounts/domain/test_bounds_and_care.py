"""What a rule lets through at its very edge, and for whom: each command at its bounds, and in another's hands."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from accounts.domain import commands as c
from accounts.domain import events as e
from accounts.domain.account import Account, BrokenStream, Status, evolve
from accounts.domain.decide import Decision, decide
from accounts.domain.decide_holds import MAX_HOLD
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import BookedPosting, Facts
from accounts.domain.holds import Hold, HoldStatus, evolve_hold
from accounts.domain.journal import imbalances
from accounts.domain.money import MAX_AMOUNT, MAX_BALANCE, Money
from accounts.domain.products import PRODUCTS

ANN, BOB, HOLD, PAID = (UUID(int=number) for number in (1, 2, 3, 4))
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
EURO = Money(100, "EUR")
LONG = "x" * 200


def account(account_id: UUID = ANN, **changes: Any) -> Account:
    fields = {
        "id": account_id,
        "owner": "Ann",
        "currency": "EUR",
        "product": "current",
        "custodian": "client:acme",
        "overdraft_limit": 0,
        "status": Status.OPEN,
        "balance": 1000,
        "held": 0,
        "version": 7,
    }
    return Account(**{**fields, **changes})


def hold(**changes: Any) -> Hold:
    fields = {
        "id": HOLD,
        "account_id": ANN,
        "version": 7,
        "currency": "EUR",
        "contra": "cards:EUR",
        "description": "Hotel",
        "amount": 300,
        "captured": 0,
        "released": 0,
        "status": HoldStatus.OPEN,
        "placed_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=1),
        "closed_at": None,
    }
    return Hold(**{**fields, **changes})


def payment(amount: int = 100) -> tuple[BookedPosting, BookedPosting]:
    """Ann has paid Bob."""

    def posting(kind: type[e.Posting], minor: int, other: UUID) -> e.Posting:
        return kind(amount=minor, currency="EUR", contra=f"account:{other}", value_date=NOW.date(), balance=minor)

    return (
        BookedPosting(ANN, 5, posting(e.TransferSent, -amount, BOB)),
        BookedPosting(BOB, 6, posting(e.TransferReceived, amount, ANN)),
    )


ANNS = account()


@dataclass
class Given:
    """Decides on Ann's account, on Bob's, which is in the care of another, and on a hold or payment of Ann's."""

    ann: Account = ANNS
    held: Hold | None = None
    at: datetime = NOW
    custodian: str | None = None

    def decide(self, command: c.Command) -> Decision:
        bob = account(BOB, custodian="client:other")
        facts = Facts({ANN: self.ann, BOB: bob}, self.at, self.custodian, payment(), hold=self.held)
        return decide(command, facts)

    def code(self, command: c.Command) -> ErrorCode | None:
        """The one that it is refused with; None where it is not."""
        try:
            self.decide(command)
        except Refusal as refusal:
            return refusal.code
        return None


STRANGERS = ["client:other", "bank", ""]
"""Who has no care of Ann's account. The first has the care of Bob's."""
OF_AN_ACCOUNT: dict[str, tuple[c.Command, dict[str, Any]]] = {
    "deposit": (c.Deposit(ANN, EURO), {}),
    "withdraw": (c.Withdraw(ANN, EURO), {}),
    "transfer": (c.Transfer(ANN, BOB, EURO), {}),
    "limit": (c.ChangeOverdraftLimit(ANN, EURO), {}),
    "freeze": (c.FreezeAccount(ANN), {}),
    "unfreeze": (c.UnfreezeAccount(ANN), {"status": Status.FROZEN}),
    "close": (c.CloseAccount(ANN), {"balance": 0}),
    "hold": (c.PlaceHold(ANN, HOLD, EURO), {}),
}


@pytest.mark.parametrize("name", OF_AN_ACCOUNT)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_command_on_an_account_in_the_care_of_another_finds_no_account(name: str, stranger: str) -> None:
    command, state = OF_AN_ACCOUNT[name]
    assert Given(account(**state), custodian=stranger).code(command) is ErrorCode.ACCOUNT_NOT_FOUND
    assert Given(account(**state), custodian="client:acme").code(command) is None
    assert Given(account(**state)).code(command) is None


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("command", [c.CaptureHold(HOLD), c.ReleaseHold(HOLD)])
def test_a_hold_on_an_account_in_the_care_of_another_is_not_there(command: c.Command, stranger: str) -> None:
    ann = account(held=300)
    assert Given(ann, hold(), custodian=stranger).code(command) is ErrorCode.HOLD_NOT_FOUND
    assert Given(ann, hold(), custodian="client:acme").code(command) is None


@pytest.mark.parametrize("stranger", STRANGERS)
def test_who_has_the_care_of_the_paying_account_reverses_a_transfer_and_nobody_else(stranger: str) -> None:
    command = c.ReverseTransaction(PAID)
    assert Given(custodian=stranger).code(command) is ErrorCode.TRANSACTION_NOT_FOUND
    undone = Given(custodian="client:acme").decide(command)
    assert [(account_id, event.amount) for account_id, event in undone if isinstance(event, e.Posting)] == [
        (ANN, 100),
        (BOB, -100),
    ]


@pytest.mark.parametrize(
    "command",
    [
        c.Deposit(ANN, EURO, description=LONG),
        c.Withdraw(ANN, EURO, description=LONG),
        c.Transfer(ANN, BOB, EURO, LONG),
        c.ReverseTransaction(PAID, LONG),
        c.PlaceHold(ANN, HOLD, EURO, description=LONG),
        c.CaptureHold(HOLD, description=LONG),
    ],
)
def test_a_description_has_at_most_200_characters_all_of_them_printable(command: Any) -> None:
    given = Given(account(held=300), hold())
    struct = type(command)
    fields = {name: getattr(command, name) for name in command.__struct_fields__}

    assert given.code(command) is None
    assert given.code(struct(**{**fields, "description": LONG + "x"})) is ErrorCode.VALIDATION_FAILED
    assert given.code(struct(**{**fields, "description": "a\nb"})) is ErrorCode.VALIDATION_FAILED


IMPOSSIBLE = [
    (Money(0, "EUR"), ErrorCode.INVALID_AMOUNT),
    (Money(-1, "EUR"), ErrorCode.INVALID_AMOUNT),
    (Money(MAX_AMOUNT + 1, "EUR"), ErrorCode.AMOUNT_TOO_LARGE),
    (Money(1, "JPY"), ErrorCode.CURRENCY_MISMATCH),
    (Money(1, "XXX"), ErrorCode.VALIDATION_FAILED),
]


@pytest.mark.parametrize(("amount", "code"), IMPOSSIBLE)
def test_what_is_no_amount_is_moved_by_no_command(amount: Money, code: ErrorCode) -> None:
    rich = account(balance=MAX_AMOUNT * 3, held=MAX_AMOUNT + 2)
    given = Given(rich, hold(amount=MAX_AMOUNT + 2))
    for command in (
        c.Deposit(ANN, amount),
        c.Withdraw(ANN, amount),
        c.Transfer(ANN, BOB, amount),
        c.PlaceHold(ANN, HOLD, amount),
        c.CaptureHold(HOLD, amount),
    ):
        assert given.code(command) is code, command


def test_the_largest_amount_is_still_moved() -> None:
    rich = account(balance=MAX_AMOUNT)
    for command in (c.Deposit(ANN, Money(MAX_AMOUNT, "EUR")), c.Withdraw(ANN, Money(MAX_AMOUNT, "EUR"))):
        assert Given(rich).code(command) is None


def test_an_account_holds_and_owes_up_to_the_same_limit_and_no_more() -> None:
    last = account(balance=MAX_BALANCE - 100)
    assert Given(last).code(c.Deposit(ANN, EURO)) is None
    assert Given(last).code(c.Deposit(ANN, Money(101, "EUR"))) is ErrorCode.BALANCE_LIMIT_EXCEEDED

    deep = account(balance=100 - MAX_BALANCE, overdraft_limit=2 * MAX_BALANCE)
    assert Given(deep).code(c.Withdraw(ANN, EURO)) is None
    assert Given(deep).code(c.Withdraw(ANN, Money(101, "EUR"))) is ErrorCode.BALANCE_LIMIT_EXCEEDED


def test_a_hold_lasts_from_the_next_moment_to_the_last_of_the_longest_and_no_longer() -> None:
    def placed(until: datetime) -> ErrorCode | None:
        return Given().code(c.PlaceHold(ANN, HOLD, EURO, expires_at=until))

    assert placed(NOW) is ErrorCode.VALIDATION_FAILED
    assert placed(NOW + TICK) is None
    assert placed(NOW + MAX_HOLD) is None
    assert placed(NOW + MAX_HOLD + TICK) is ErrorCode.VALIDATION_FAILED


def test_at_each_moment_a_hold_can_either_be_captured_or_expire() -> None:
    end, ann = NOW, account(held=300)
    for at, capture, expire in (
        (end - TICK, None, ErrorCode.VALIDATION_FAILED),
        (end, ErrorCode.HOLD_NOT_OPEN, None),
        (end + TICK, ErrorCode.HOLD_NOT_OPEN, None),
    ):
        given = Given(ann, hold(expires_at=end), at)
        assert given.code(c.CaptureHold(HOLD)) is capture
        assert given.code(c.ExpireHold(HOLD)) is expire


def test_an_overdraft_limit_goes_up_to_what_the_product_allows_in_the_accounts_own_currency() -> None:
    highest = PRODUCTS["current"].max_overdraft

    def limited(minor: int, currency: str = "EUR", **state: Any) -> ErrorCode | None:
        return Given(account(**state)).code(c.ChangeOverdraftLimit(ANN, Money(minor, currency)))

    assert limited(highest) is None
    assert limited(highest + 1) is ErrorCode.OVERDRAFT_NOT_ALLOWED
    assert limited(0) is None
    assert limited(-1) is ErrorCode.OVERDRAFT_NOT_ALLOWED
    assert limited(1, product="savings") is ErrorCode.OVERDRAFT_NOT_ALLOWED
    assert limited(1, "USD") is ErrorCode.CURRENCY_MISMATCH
    assert limited(1, status=Status.FROZEN) is None
    assert limited(1, status=Status.CLOSED) is ErrorCode.ACCOUNT_CLOSED


def test_a_limit_that_is_too_low_is_told_to_be_in_use_by_what_is_overdrawn_or_else_by_what_is_held() -> None:
    def told(**state: Any) -> str:
        with pytest.raises(Refusal) as refused:
            Given(account(overdraft_limit=500, **state)).decide(c.ChangeOverdraftLimit(ANN, EURO))
        assert refused.value.code is ErrorCode.OVERDRAFT_IN_USE
        return refused.value.message

    assert "overdrawn by more" in told(balance=-101)
    assert "Holds on the account" in told(balance=-100, held=1)


@pytest.mark.parametrize("contra", c.InternalAccount)
def test_where_money_comes_from_or_goes_to_is_booked_as_it_was_said(contra: c.InternalAccount) -> None:
    opening = c.OpenAccount(UUID(int=9), "Cid", "EUR", opening_deposit=100, contra=contra)
    for command in (
        opening,
        c.Deposit(ANN, EURO, contra),
        c.Withdraw(ANN, EURO, contra),
        c.PlaceHold(ANN, HOLD, EURO, contra),
    ):
        [(_, event)] = Given().decide(command)
        assert event.contra == f"{contra.value}:EUR"


# -- events that contradict what is there: nothing is built on them


MOVED = {"contra": "cards:EUR", "value_date": NOW.date()}


@pytest.mark.parametrize(
    "event",
    [
        e.Deposited(amount=5, currency="EUR", balance=1006, **MOVED),
        e.Deposited(amount=5, currency="USD", balance=1005, **MOVED),
        e.HoldPlaced(hold_id=HOLD, amount=5, currency="EUR", contra="cards:EUR", expires_at=NOW, held=106),
        e.HoldReleased(hold_id=HOLD, amount=101, held=-1),
        e.HoldCaptured(amount=-101, currency="EUR", balance=899, hold_id=HOLD, released=0, held=-1, **MOVED),
        e.AccountOpened(
            amount=1000,
            currency="EUR",
            balance=1000,
            owner="Ann",
            product="current",
            overdraft_limit=0,
            custodian="bank",
            **MOVED,
        ),
    ],
)
def test_an_event_that_contradicts_the_account_stops_its_fold(event: Any) -> None:
    with pytest.raises(BrokenStream):
        evolve(account(held=100), ANN, event)


def test_an_account_that_opens_at_another_balance_than_its_deposit_stops_its_fold() -> None:
    opened = {"owner": "Ann", "product": "current", "overdraft_limit": 0, "custodian": "bank"}
    with pytest.raises(BrokenStream, match="opened with 5, yet at 6"):
        evolve(None, ANN, e.AccountOpened(amount=5, currency="EUR", balance=6, **opened, **MOVED))


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (hold(), e.HoldPlaced(hold_id=HOLD, amount=5, currency="EUR", contra="", expires_at=NOW, held=5)),
        (None, e.HoldReleased(hold_id=HOLD, amount=300, held=0)),
        (hold(account_id=BOB), e.HoldReleased(hold_id=HOLD, amount=300, held=0)),
        (hold(status=HoldStatus.EXPIRED), e.HoldReleased(hold_id=HOLD, amount=300, held=0)),
        (hold(), e.HoldExpired(hold_id=HOLD, amount=299, held=1)),
        (hold(), e.HoldReleased(hold_id=HOLD, amount=301, held=0)),
        (
            hold(),
            e.HoldCaptured(amount=-300, currency="EUR", balance=0, hold_id=HOLD, released=1, held=0, **MOVED),
        ),
    ],
)
def test_an_event_that_contradicts_its_hold_stops_the_fold(state: Hold | None, event: Any) -> None:
    with pytest.raises(BrokenStream):
        evolve_hold(state, ANN, 8, NOW, event)


def test_each_currency_of_a_transaction_sums_to_zero_by_itself() -> None:
    def between_accounts(amount: int, currency: str) -> e.Posting:
        return e.TransferSent(
            amount=amount, currency=currency, contra=f"account:{BOB}", value_date=NOW.date(), balance=0
        )

    assert imbalances([between_accounts(-5, "EUR"), between_accounts(5, "EUR")]) == {}
    assert imbalances([between_accounts(-5, "EUR"), between_accounts(5, "USD")]) == {"EUR": -5, "USD": 5}
    assert imbalances([between_accounts(-5, "EUR")]) == {"EUR": -5}
