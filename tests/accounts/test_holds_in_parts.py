"""A hold gives up a part, and is extended: by an amount, to a later moment, or both."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import call_command

from accounts.domain.commands import CaptureHold, ExtendHold, PlaceHold, ReleaseHold
from accounts.domain.errors import ErrorCode
from accounts.domain.money import MAX_AMOUNT, Money
from accounts.models import Hold
from accounts.projections.accounts import AccountsInline
from accounts.services import Refused, execute, idempotency_key
from accounts.services.expiry import expire_holds
from eventstore.events import new_id
from eventstore.idempotency import fingerprint
from eventstore.store import load
from tests.bank import Bank, funds, refused

QUIET = lambda done, total: None  # noqa: E731


def test_a_release_of_a_part_leaves_the_hold_open_with_less(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    released = bank.release(hold, "30.00")

    assert funds(ann) == (10_000, 5_000, 5_000)
    assert (released.result["hold"]["status"], released.result["hold"]["held"]) == ("open", 5_000)
    row = Hold.objects.get()
    assert (row.status, row.amount, row.released, row.held, row.closed_at) == ("open", 8_000, 3_000, 5_000, None)
    assert refused(bank, lambda: bank.capture(hold, "50.01")) is ErrorCode.CAPTURE_EXCEEDS_HOLD
    bank.capture(hold, "50.00")
    row = Hold.objects.get()
    assert (row.status, row.captured, row.released) == ("captured", 5_000, 3_000)
    assert funds(ann) == (5_000, 0, 5_000)
    call_command("verify_ledger")


def test_a_release_of_the_last_part_ends_the_hold(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "80.00")
    bank.capture(hold, "10.00", final=False)
    bank.release(hold, "30.00")
    bank.release(hold, "40.00")

    row = Hold.objects.get()
    assert (row.status, row.captured, row.released, row.held) == ("released", 1_000, 7_000, 0)
    assert funds(ann) == (9_000, 0, 9_000)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (Money(8_001, "EUR"), ErrorCode.RELEASE_EXCEEDS_HOLD),
        (Money(0, "EUR"), ErrorCode.INVALID_AMOUNT),
        (Money(-1, "EUR"), ErrorCode.INVALID_AMOUNT),
        (Money(1, "JPY"), ErrorCode.CURRENCY_MISMATCH),
    ],
)
def test_a_release_gives_up_no_more_than_is_held_and_nothing_else(bank: Bank, amount: Money, code: ErrorCode) -> None:
    hold = bank.hold(bank.open("100.00"), "80.00")

    assert refused(bank, lambda: bank.do(ReleaseHold(hold, amount))) is code


def test_the_key_of_a_release_is_that_of_the_time_before_parts(bank: Bank) -> None:
    """What a client had sent before releases had an amount, it may send again after."""
    hold = new_id()
    before = fingerprint({"command": "ReleaseHold", "hold_id": str(hold)})

    assert idempotency_key(scope="test", key="k", command=ReleaseHold(hold)).fingerprint == before
    part = idempotency_key(scope="test", key="k", command=ReleaseHold(hold, Money(1, "EUR")))
    assert part.fingerprint != before


def test_a_hold_is_extended_by_an_amount(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "60.00")
    end = Hold.objects.get().expires_at
    extended = bank.extend(hold, "40.00")

    assert funds(ann) == (10_000, 10_000, 0)
    told = extended.result["hold"]
    assert (told["amount"], told["held"], told["status"]) == (10_000, 10_000, "open")
    row = Hold.objects.get()
    assert (row.amount, row.held, row.expires_at) == (10_000, 10_000, end)
    assert load(ann, use_snapshots=False).state.held == 10_000
    bank.capture(hold, "95.00")
    assert funds(ann) == (500, 0, 500)
    call_command("verify_ledger")


def test_a_hold_is_extended_to_a_later_moment(bank: Bank) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "60.00")
    end = Hold.objects.get().expires_at + timedelta(days=9)
    bank.extend(hold, expires_at=end)

    assert funds(ann) == (10_000, 6_000, 4_000)
    assert Hold.objects.get().expires_at == end
    expire_holds()
    assert Hold.objects.get().status == "open"


def test_an_extension_takes_what_is_available_and_no_more(bank: Bank) -> None:
    ann = bank.open("100.00", overdraft="5.00")
    hold = bank.hold(ann, "60.00")

    assert refused(bank, lambda: bank.extend(hold, "45.01")) is ErrorCode.INSUFFICIENT_FUNDS
    bank.extend(hold, "45.00")
    assert funds(ann) == (10_000, 10_500, 0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ErrorCode.VALIDATION_FAILED),
        ({"amount": Money(0, "EUR")}, ErrorCode.INVALID_AMOUNT),
        ({"amount": Money(-1, "EUR")}, ErrorCode.INVALID_AMOUNT),
        ({"amount": Money(MAX_AMOUNT, "EUR")}, ErrorCode.AMOUNT_TOO_LARGE),
        ({"amount": Money(1, "JPY")}, ErrorCode.CURRENCY_MISMATCH),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, ErrorCode.VALIDATION_FAILED),
        ({"expires_at": datetime(2120, 1, 1, tzinfo=UTC)}, ErrorCode.VALIDATION_FAILED),
    ],
)
def test_an_extension_that_breaks_a_rule_changes_nothing(bank: Bank, fields: dict, code: ErrorCode) -> None:
    hold = bank.hold(bank.open("100.00"), "80.00")

    assert refused(bank, lambda: bank.do(ExtendHold(hold, **fields))) is code


def test_an_extension_never_makes_a_hold_end_sooner(bank: Bank) -> None:
    hold = bank.hold(bank.open("100.00"), "80.00")
    end = Hold.objects.get().expires_at

    for sooner in (end, end - timedelta(seconds=1)):
        assert (
            refused(bank, lambda sooner=sooner: bank.extend(hold, expires_at=sooner)) is ErrorCode.VALIDATION_FAILED
        )


def test_a_hold_whose_time_is_over_is_not_extended_and_neither_is_one_of_a_frozen_account(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open("100.00")
    late, frozen = bank.overdue_hold(ann, "80.00"), bank.hold(bob, "80.00")
    bank.freeze(bob)
    end = datetime.now(UTC) + timedelta(days=20)

    assert refused(bank, lambda: bank.extend(late, expires_at=end)) is ErrorCode.HOLD_NOT_OPEN
    assert refused(bank, lambda: bank.extend(frozen, expires_at=end)) is ErrorCode.ACCOUNT_FROZEN
    bank.release(frozen, "30.00")
    assert funds(bob) == (10_000, 5_000, 5_000)


def test_extensions_and_releases_of_one_batch_see_each_other(bank: Bank) -> None:
    ann, hold = bank.open("100.00"), new_id()
    euro = lambda minor: Money(minor, "EUR")  # noqa: E731
    commands = [
        PlaceHold(ann, hold, euro(6_000)),
        ExtendHold(hold, euro(4_000)),
        ExtendHold(hold, euro(1)),
        ReleaseHold(hold, euro(9_999)),
        ExtendHold(hold, euro(1)),
        CaptureHold(hold, euro(3)),
    ]
    outcomes = execute([bank.envelope(command) for command in commands])

    told = [outcome.code.value if isinstance(outcome, Refused) else "done" for outcome in outcomes]
    assert told == ["done", "done", "insufficient_funds", "done", "done", "capture_exceeds_hold"]
    assert funds(ann) == (10_000, 2, 9_998)
    call_command("verify_ledger")


def test_what_is_extended_and_given_up_in_parts_is_made_anew_from_events(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann = bank.open("100.00")
    hold = bank.hold(ann, "30.00")
    bank.extend(hold, "20.00", expires_at=Hold.objects.get().expires_at + timedelta(hours=1))
    bank.release(hold, "15.00")
    before = bank.footprint()

    sweeper.execute("DELETE FROM holds")
    with pytest.raises(Exception, match="do NOT agree"):
        call_command("verify_ledger")
    AccountsInline().rebuild(QUIET)

    assert bank.footprint() == before
    call_command("verify_ledger")
