"""`expire_holds` gives up what is past its time, and nothing else."""

from datetime import timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Hold
from accounts.services import expiry
from accounts.tasks import expire_holds
from eventstore.models import Event
from tests.bank import Bank
from tests.configured import configured
from tests.threads import together


def test_a_hold_past_its_time_is_given_up_and_the_others_stay(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    ann = bank.open("100.00")
    over, still = bank.overdue_hold(ann, "80.00"), bank.hold(ann, "5.00")

    call_command("expire_holds")

    assert capsys.readouterr().out == "1 hold expired.\n"
    assert dict(Hold.objects.values_list("id", "status")) == {over: "expired", still: "open"}
    assert (Account.objects.get().balance, Account.objects.get().held) == (10_000, 500)
    event = Event.objects.get(event_type="HoldExpired")
    assert (event.data["amount"], event.metadata["actor"]) == (8_000, "system:holds")
    call_command("verify_ledger")


def test_it_does_so_on_frozen_accounts_too(bank: Bank) -> None:
    ann = bank.open("100.00")
    bank.overdue_hold(ann, "80.00")
    bank.freeze(ann)

    expire_holds()

    assert (Account.objects.get().held, Account.objects.get().status) == (0, "frozen")


def test_run_again_or_beside_itself_nothing_happens_twice(bank: Bank) -> None:
    for _ in range(5):
        bank.overdue_hold(bank.open("100.00"), "80.00")

    done = together([expiry.expire_holds] * 4)

    assert sum(each.expired for each in done) == 5
    assert Event.objects.filter(event_type="HoldExpired").count() == 5
    call_command("expire_holds")
    assert Event.objects.filter(event_type="HoldExpired").count() == 5


def test_it_goes_through_more_than_one_batch(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 3)
    ann = bank.open("100.00")
    for number in range(8):
        bank.overdue_hold(ann, "1.00", since=timedelta(minutes=1 + number // 4))

    assert expiry.expire_holds().expired == 8
    assert Account.objects.get().held == 0


def test_of_those_that_end_at_the_same_moment_none_is_left(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 3)
    ann = bank.open("100.00")
    for _ in range(8):
        bank.overdue_hold(ann, "1.00")
    sweeper.execute("UPDATE holds SET expires_at = (SELECT min(expires_at) FROM holds)")

    assert expiry.expire_holds() == expiry.Expiry(expired=8)


def test_an_account_in_use_keeps_its_hold_until_the_next_run_and_stops_no_other(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    busy, other = bank.open("100.00"), bank.open("100.00")
    bank.overdue_hold(busy, "80.00")
    bank.overdue_hold(other, "80.00")

    with configured(lock_timeout_ms=100), sweeper.transaction():
        sweeper.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (busy,))
        with pytest.raises(CommandError, match="1 more are past their time"):
            call_command("expire_holds")
    assert dict(Account.objects.values_list("id", "held")) == {busy: 8_000, other: 0}

    call_command("expire_holds")
    assert dict(Account.objects.values_list("id", "held")) == {busy: 0, other: 0}


def test_an_account_that_does_not_agree_with_its_events_stops_no_other(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    broken, other = bank.open("100.00"), bank.open("100.00")
    bank.overdue_hold(broken, "80.00", since=timedelta(minutes=2))
    bank.overdue_hold(other, "80.00")
    sweeper.execute("UPDATE accounts SET version = version - 1 WHERE id = %s", (broken,))

    with pytest.raises(CommandError, match="do not agree with their events"):
        call_command("expire_holds")

    assert dict(Account.objects.values_list("id", "held")) == {broken: 8_000, other: 0}
