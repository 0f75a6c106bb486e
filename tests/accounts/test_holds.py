"""Money is reserved, then booked or given up: what is held cannot be spent twice, and never stays behind."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import call_command

from accounts.domain.commands import CaptureHold, Deposit, InternalAccount, PlaceHold, ReleaseHold
from accounts.domain.decide_holds import DEFAULT_HOLD, MAX_HOLD
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import MAX_AMOUNT, Money
from accounts.models import Account, Hold, JournalLine, Transaction
from accounts.projections.accounts import AccountsInline
from accounts.services import Executed, Refused, execute
from eventstore import projections
from eventstore.errors import BrokenHistory
from eventstore.events import new_id
from eventstore.models import Event
from eventstore.projections.runner import catch_up
from eventstore.store import load
from tests.bank import Bank, funds, refused
from tests.threads import together

QUIET = lambda done, total: None  # noqa: E731


def test_a_hold_lowers_what_is_available_and_leaves_the_ledger_balance(bank: Bank) -> None:
    ann = bank.open("100.00", overdraft="5.00")
    hold = bank.hold(ann, "80.00")

    assert funds(ann) == (10_000, 8_000, 2_500)
    row = Hold.objects.get()
    assert (row.id, row.account_id, row.status, row.amount, row.held) == (hold, ann, "open", 8_000, 8_000)
    assert row.expires_at - row.placed_at == DEFAULT_HOLD
    assert load(ann, use_snapshots=False).state.held == 8_000
    assert Event.objects.get(event_type="HoldPlaced").data["contra"] == "cards:EUR"


def test_no_hold_takes_the_place_of_another(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open("100.00")
    hold = bank.hold(ann, "80.00")

    before = bank.footprint()

    for _ in range(2):
        with pytest.raises(BrokenHistory, match="must be unique exists already"):
            bank.do(PlaceHold(bob, hold, Money(1, "EUR")))

    assert bank.footprint() == before


def test_a_hold_that_is_captured_in_the_batch_that_placed_it_is_there_once(bank: Bank) -> None:
    ann, hold = bank.open("100.00"), new_id()
    placed, captured = execute(
        [bank.envelope(PlaceHold(ann, hold, Money(100, "EUR"))), bank.envelope(CaptureHold(hold, Money(60, "EUR")))]
    )

    assert isinstance(placed, Executed)
    assert isinstance(captured, Executed)
    assert (Hold.objects.get().status, Hold.objects.get().captured, funds(ann)) == ("captured", 60, (9_940, 0, 9_940))
    call_command("verify_ledger")


def test_what_is_held_can_neither_be_spent_nor_held_again(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    bank.hold(ann, "80.00")

    assert refused(bank, lambda: bank.withdraw(ann, "20.01")) is ErrorCode.INSUFFICIENT_FUNDS
    assert refused(bank, lambda: bank.transfer(ann, bob, "20.01")) is ErrorCode.INSUFFICIENT_FUNDS
    assert refused(bank, lambda: bank.hold(ann, "20.01")) is ErrorCode.INSUFFICIENT_FUNDS
    bank.withdraw(ann, "20.00")
    assert funds(ann) == (8_000, 8_000, 0)


def test_a_capture_books_what_was_held(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    captured = bank.capture(hold)

    assert funds(ann) == (2_000, 0, 2_000)
    assert captured.result["hold"]["status"] == "captured"
    row = Hold.objects.get()
    assert (row.status, row.captured, row.released, row.held) == ("captured", 8_000, 0, 0)
    assert row.closed_at == Event.objects.get(command_id=captured.transaction_id).timestamp
    catch_up(projections.registered())
    lines = JournalLine.objects.filter(transaction_id=captured.transaction_id).order_by("id")
    assert [(line.ledger_account, line.amount) for line in lines] == [
        (f"account:{ann}", -8_000),
        ("cards:EUR", 8_000),
    ]
    assert Transaction.objects.get(transaction_id=captured.transaction_id).kind == "HoldCaptured"


def test_a_capture_of_less_gives_up_the_rest(bank: Bank) -> None:
    ann = bank.open("100.00")
    bank.capture(bank.hold(ann, "80.00"), "72.50")

    assert funds(ann) == (2_750, 0, 2_750)
    row = Hold.objects.get()
    assert (row.status, row.captured, row.released) == ("captured", 7_250, 750)


def test_a_capture_that_is_not_the_last_keeps_the_rest(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    bank.capture(hold, "30.00", final=False)

    assert funds(ann) == (7_000, 5_000, 2_000)
    assert Hold.objects.get().status == "open"
    bank.capture(hold, "50.00", final=False)
    assert funds(ann) == (2_000, 0, 2_000)
    assert Hold.objects.get().status == "captured"


def test_a_hold_is_never_captured_beyond_its_amount(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")

    assert refused(bank, lambda: bank.capture(hold, "80.01")) is ErrorCode.CAPTURE_EXCEEDS_HOLD
    bank.capture(hold, "30.00", final=False)
    assert refused(bank, lambda: bank.capture(hold, "50.01")) is ErrorCode.CAPTURE_EXCEEDS_HOLD


def test_a_release_makes_the_money_available_and_moves_none(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    released = bank.release(hold)

    assert funds(ann) == (10_000, 0, 10_000)
    assert released.result["accounts"][0]["available"] == 10_000
    row = Hold.objects.get()
    assert (row.status, row.captured, row.released) == ("released", 0, 8_000)
    catch_up(projections.registered())
    assert not Transaction.objects.filter(transaction_id=released.transaction_id).exists()


@pytest.mark.parametrize("ended", ["capture", "release"])
def test_a_hold_that_has_ended_can_be_neither_captured_nor_released(bank: Bank, ended: str) -> None:
    hold = bank.hold(bank.open("100.00"), "80.00")
    getattr(bank, ended)(hold)

    assert refused(bank, lambda: bank.capture(hold)) is ErrorCode.HOLD_NOT_OPEN
    assert refused(bank, lambda: bank.release(hold)) is ErrorCode.HOLD_NOT_OPEN
    assert refused(bank, lambda: bank.release(hold, "1.00")) is ErrorCode.HOLD_NOT_OPEN
    assert refused(bank, lambda: bank.extend(hold, "1.00")) is ErrorCode.HOLD_NOT_OPEN


def test_a_hold_that_was_never_placed_is_not_there(bank: Bank) -> None:
    bank.open("100.00")

    assert refused(bank, lambda: bank.capture(new_id())) is ErrorCode.HOLD_NOT_FOUND
    assert refused(bank, lambda: bank.release(new_id())) is ErrorCode.HOLD_NOT_FOUND
    assert refused(bank, lambda: bank.do(ReleaseHold(new_id()), expected_version=1)) is ErrorCode.HOLD_NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": Money(0, "EUR")}, ErrorCode.INVALID_AMOUNT),
        ({"amount": Money(-1, "EUR")}, ErrorCode.INVALID_AMOUNT),
        ({"amount": Money(MAX_AMOUNT + 1, "EUR")}, ErrorCode.AMOUNT_TOO_LARGE),
        ({"amount": Money(1, "JPY")}, ErrorCode.CURRENCY_MISMATCH),
        ({"description": "x" * 201}, ErrorCode.VALIDATION_FAILED),
        ({"description": "a\x07"}, ErrorCode.VALIDATION_FAILED),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, ErrorCode.VALIDATION_FAILED),
        ({"expires_at": datetime(2120, 1, 1, tzinfo=UTC)}, ErrorCode.VALIDATION_FAILED),
        ({"account_id": new_id()}, ErrorCode.ACCOUNT_NOT_FOUND),
    ],
)
def test_a_hold_that_breaks_a_rule_is_not_placed(bank: Bank, fields: dict, code: ErrorCode) -> None:
    ann = bank.open("100.00")
    command = PlaceHold(**{"account_id": ann, "hold_id": new_id(), "amount": Money(100, "EUR"), **fields})

    assert refused(bank, lambda: bank.do(command)) is code


def test_a_hold_may_last_as_long_as_it_may_and_no_longer(bank: Bank) -> None:
    ann = bank.open("100.00")
    end = datetime.now(UTC) + MAX_HOLD

    bank.hold(ann, "1.00", expires_at=end - timedelta(minutes=1))
    too_long = lambda: bank.hold(ann, "1.00", expires_at=end + timedelta(minutes=1))  # noqa: E731
    assert refused(bank, too_long) is ErrorCode.VALIDATION_FAILED


def test_on_a_frozen_account_a_hold_is_only_given_up(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    bank.freeze(ann)

    assert refused(bank, lambda: bank.hold(ann, "1.00")) is ErrorCode.ACCOUNT_FROZEN
    assert refused(bank, lambda: bank.capture(hold)) is ErrorCode.ACCOUNT_FROZEN
    bank.release(hold)
    assert funds(ann) == (10_000, 0, 10_000)


def test_an_account_with_a_hold_is_not_closed(bank: Bank) -> None:
    ann = bank.open(overdraft="50.00")
    hold = bank.hold(ann, "10.00")

    assert refused(bank, lambda: bank.close(ann)) is ErrorCode.BALANCE_NOT_ZERO
    bank.release(hold)
    bank.close(ann)


def test_an_overdraft_limit_is_not_lowered_below_what_is_held(bank: Bank) -> None:
    ann = bank.open(overdraft="50.00")
    bank.hold(ann, "10.00")

    assert refused(bank, lambda: bank.limit(ann, "9.99")) is ErrorCode.OVERDRAFT_IN_USE
    bank.limit(ann, "10.00")
    assert funds(ann) == (0, 1_000, 0)


def test_a_capture_is_reversed_like_any_other_booking(bank: Bank) -> None:
    ann = bank.open("100.00")
    captured = bank.capture(bank.hold(ann, "80.00"))
    bank.reverse(captured.transaction_id)

    assert funds(ann) == (10_000, 0, 10_000)
    assert Hold.objects.get().status == "captured"
    call_command("verify_ledger")


def test_placing_a_hold_is_no_transaction_that_can_be_reversed(bank: Bank) -> None:
    ann = bank.open("100.00")
    placed = bank.do(PlaceHold(ann, new_id(), Money(100, "EUR")))

    assert refused(bank, lambda: bank.reverse(placed.transaction_id)) is ErrorCode.TRANSACTION_NOT_FOUND


def test_of_many_captures_at_the_same_moment_one_is_booked(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "60.00")

    def attempt() -> str:
        try:
            bank.capture(hold)
        except Refusal as refusal:
            return refusal.code.value
        return "done"

    assert sorted(together([attempt] * 8)) == ["done"] + ["hold_not_open"] * 7
    assert funds(ann) == (4_000, 0, 4_000)


def test_holds_that_come_at_once_never_reserve_more_than_there_is(bank: Bank) -> None:
    ann = bank.open("100.00")

    def attempt() -> str:
        try:
            bank.hold(ann, "30.00")
        except Refusal as refusal:
            return refusal.code.value
        return "done"

    assert sorted(together([attempt] * 8)) == ["done"] * 3 + ["insufficient_funds"] * 5
    assert funds(ann) == (10_000, 9_000, 1_000)


def test_commands_of_a_batch_see_what_those_before_them_did_to_a_hold(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    part, rest = CaptureHold(hold, Money(5_000, "EUR"), is_final=False), CaptureHold(hold)

    outcomes = execute([bank.envelope(each) for each in (part, part, rest, rest)])

    told = [outcome.code if isinstance(outcome, Refused) else "done" for outcome in outcomes]
    assert told == ["done", "capture_exceeds_hold", "done", "hold_not_open"]
    assert funds(ann) == (2_000, 0, 2_000)
    call_command("verify_ledger")


def test_a_batch_that_is_refused_as_a_whole_leaves_the_hold_as_it_was(bank: Bank) -> None:
    hold = bank.hold(bank.open("100.00"), "80.00")
    before = bank.footprint()

    outcomes = execute([bank.envelope(CaptureHold(hold)), bank.envelope(CaptureHold(hold))], all_or_nothing=True)

    assert [isinstance(outcome, Refused) for outcome in outcomes] == [True, True]
    assert bank.footprint() == before


def test_a_repeated_command_has_one_effect_and_the_first_answer(bank: Bank) -> None:
    ann = bank.open("100.00")
    first = bank.do(PlaceHold(ann, new_id(), Money(100, "EUR")), key="authorise-1")
    again = bank.do(PlaceHold(ann, new_id(), Money(100, "EUR")), key="authorise-1")

    assert again.replayed
    assert again.result == first.result
    assert Hold.objects.count() == 1
    once = bank.do(CaptureHold(Hold.objects.get().id), key="capture-1")
    twice = bank.do(CaptureHold(Hold.objects.get().id), key="capture-1")
    assert (twice.replayed, twice.result) == (True, once.result)
    assert funds(ann) == (9_900, 0, 9_900)


def test_a_capture_after_its_time_is_refused_also_before_the_hold_is_given_up(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.overdue_hold(ann, "80.00")

    assert refused(bank, lambda: bank.capture(hold)) is ErrorCode.HOLD_NOT_OPEN
    assert funds(ann) == (10_000, 8_000, 2_000)
    bank.release(hold)
    assert funds(ann) == (10_000, 0, 10_000)


def test_where_the_money_goes_is_settled_when_it_is_held(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = new_id()
    bank.do(PlaceHold(ann, hold, Money(100, "EUR"), InternalAccount.WIRE, "Deposit for a flat"))
    captured = bank.capture(hold)

    event = Event.objects.get(command_id=captured.transaction_id)
    assert (event.data["contra"], event.data["description"]) == ("wire:EUR", "Deposit for a flat")


EDITS = {
    "an amount": "UPDATE holds SET amount = amount + 1, released = released + 1 WHERE status <> 'open'",
    "what is captured": "UPDATE holds SET captured = captured + 1 WHERE status = 'open'",
    "an account": "UPDATE holds SET account_id = gen_random_uuid()",
    "an end": "UPDATE holds SET expires_at = expires_at + interval '1 day'",
    "one is gone": "DELETE FROM holds WHERE status = 'open'",
    "one is invented": (
        "INSERT INTO holds SELECT gen_random_uuid(), account_id, version, currency, contra, description, amount, "
        "captured, released, status, placed_at, expires_at, closed_at FROM holds WHERE status = 'open'"
    ),
    "what the account holds": "UPDATE accounts SET held = held + 1",
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_done_to_holds_behind_the_banks_back_is_found_and_mended(
    bank: Bank, sweeper: psycopg.Connection, edit: str
) -> None:
    ann = bank.open("100.00")
    bank.capture(bank.hold(ann, "30.00"), "10.00")
    bank.hold(ann, "20.00")
    before = bank.footprint()
    call_command("verify_ledger")

    sweeper.execute(EDITS[edit])
    with pytest.raises(Exception, match="do NOT agree"):
        call_command("verify_ledger")
    report = AccountsInline().rebuild(QUIET)

    assert report.repaired >= 1
    assert bank.footprint() == before
    call_command("verify_ledger")


def test_a_hold_that_reserves_more_than_its_account_holds_stops_the_command(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "30.00")
    sweeper.execute("UPDATE holds SET amount = amount + 1")
    before = bank.footprint()

    with pytest.raises(BrokenHistory, match="run verify_ledger, then rebuild_projection accounts"):
        bank.release(hold)

    assert bank.footprint() == before


def test_a_hold_that_reserves_more_than_its_account_holds_keeps_nobody_else_of_a_batch(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann, bob = bank.open("100.00"), bank.open("100.00")
    broken, sound = bank.hold(ann, "30.00"), bank.hold(bob, "30.00")
    sweeper.execute("UPDATE holds SET amount = amount + 1 WHERE id = %s", (broken,))
    euro = Money(100, "EUR")

    outcomes = execute(
        [bank.envelope(command) for command in (ReleaseHold(broken), Deposit(ann, euro), ReleaseHold(sound))]
    )

    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].code is ErrorCode.BROKEN_HISTORY
    assert [type(outcome) for outcome in outcomes[1:]] == [Executed, Executed]
    assert (funds(ann), funds(bob)) == ((10_100, 3_000, 7_100), (10_000, 0, 10_000))
    kinds = Event.objects.filter(aggregate_id=ann).order_by("version").values_list("event_type", flat=True)
    assert list(kinds) == ["AccountOpened", "Deposited", "HoldPlaced", "Deposited"]
    sweeper.execute("UPDATE holds SET amount = amount - 1 WHERE id = %s", (broken,))
    call_command("verify_ledger")


def test_holds_of_many_accounts_are_executed_in_one_batch(bank: Bank) -> None:
    accounts = [bank.open("10.00") for _ in range(40)]
    placed = execute([bank.envelope(PlaceHold(each, new_id(), Money(1_000, "EUR"))) for each in accounts])
    assert all(isinstance(outcome, Executed) for outcome in placed)

    captured = execute([bank.envelope(CaptureHold(hold_id)) for hold_id in Hold.objects.values_list("id", flat=True)])

    assert all(isinstance(outcome, Executed) for outcome in captured)
    assert set(Account.objects.values_list("balance", "held")) == {(0, 0)}
    call_command("verify_ledger")
