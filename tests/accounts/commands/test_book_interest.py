"""`book_interest` reckons months that are over, and books what is due."""

from datetime import date

import pytest
from django.core.management import CommandError, call_command

from accounts import tasks
from accounts.models import Interest, InterestMonth
from accounts.services import interest
from eventstore.errors import StoreBusy
from tests.accounts.earning import JANUARY, rate, saver, settle, today_is
from tests.bank import Bank


@pytest.fixture(autouse=True)
def in_february(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    today_is(monkeypatch, date(2026, 2, 3))
    rate(JANUARY, 100_000)


def test_what_is_due_is_booked_and_told(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    ann = saver(bank)
    settle()

    call_command("book_interest")
    assert capsys.readouterr().out.splitlines() == ["Months reckoned: 2026-01.", "Booked: 1."]
    assert bank.balance(ann) == 368_100

    call_command("book_interest")
    assert capsys.readouterr().out.splitlines() == ["Months reckoned: none.", "Booked: 0."]
    assert bank.balance(ann) == 368_100


def test_a_dry_run_tells_and_does_nothing(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    saver(bank)
    settle()
    before = bank.footprint()

    call_command("book_interest", "--dry-run")

    assert capsys.readouterr().out.splitlines() == [
        "Months to be reckoned: 2026-01.",
        "Due now, and to be booked: 0.",
    ]
    assert (bank.footprint(), Interest.objects.count(), InterestMonth.objects.count()) == (before, 0, 0)


def test_what_was_refused_is_told_with_exit_code_1(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    frozen, closed = saver(bank), saver(bank, balance=36_500)
    settle()
    bank.freeze(frozen)
    bank.withdraw(closed, "365.00")
    bank.close(closed)

    with pytest.raises(CommandError, match="1 could not be booked, and will be tried again") as told:
        call_command("book_interest")

    assert told.value.returncode == 1
    assert capsys.readouterr().out.splitlines() == [
        "Months reckoned: 2026-01.",
        "Booked: 0.",
        "Refused, and tried again at the next run: 1.",
        "Lapsed, since their accounts are closed: 1.",
    ]


def test_a_busy_bank_is_told_in_words(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    settle()

    def busy(_: object) -> None:
        raise StoreBusy("no connection in time")

    monkeypatch.setattr(interest, "execute", busy)
    with pytest.raises(CommandError, match=r"no connection in time.*nothing is booked twice"):
        call_command("book_interest")
    assert bank.balance(ann) == 365_000


def test_the_scheduler_does_so_every_night(bank: Bank) -> None:
    ann = saver(bank)
    settle()

    tasks.book_interest()

    assert bank.balance(ann) == 368_100


def test_a_month_that_must_wait_is_no_failure_of_the_task(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    monkeypatch.setattr("accounts.interest.lacks_of", lambda *_: "something")

    tasks.book_interest()

    assert (bank.balance(ann), Interest.objects.count()) == (365_000, 0)
