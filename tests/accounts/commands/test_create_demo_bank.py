"""The demo bank: some weeks of history in sound books, made once."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from accounts.models import Account
from eventstore.models import Event
from tests.bank import Bank


def test_the_demo_bank_has_weeks_of_history_and_its_books_agree(db: None) -> None:
    call_command("create_demo_bank")

    assert set(Account.objects.values_list("currency", flat=True)) == {"EUR", "JPY", "BHD"}
    assert set(Account.objects.values_list("status", flat=True)) == {"open", "frozen", "closed"}
    oldest, newest = Event.objects.earliest("timestamp").timestamp, Event.objects.latest("timestamp").timestamp
    assert newest - oldest > timedelta(weeks=5)
    assert newest <= datetime.now(UTC)
    call_command("verify_ledger")


def test_a_bank_that_has_accounts_is_left_alone(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    bank.open("1.00")
    before = bank.footprint()
    call_command("create_demo_bank")
    assert bank.footprint() == before
    assert "no demo bank was made" in capsys.readouterr().out
