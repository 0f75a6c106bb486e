"""What came in and went out today: what crosses the bank's border."""

import os
from datetime import timedelta

import psycopg
import pytest

from accounts import turnover
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnover, "_first_of_day", {})


def test_deposits_and_withdrawals_count_and_transfers_do_not(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    bank.deposit(ann, "7.50")
    bank.transfer(ann, bob, "30.00")
    bank.withdraw(bob, "10.00")
    catch_up(registered())

    assert turnover.turnover() == {"money_in:EUR": 10750, "money_out:EUR": -1000}


def test_a_day_begins_with_nothing(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.open("100.00")
    catch_up(registered())
    tomorrow = turnover.midnight() + timedelta(days=1)
    monkeypatch.setattr(turnover, "midnight", lambda: tomorrow)

    assert turnover.turnover() == {}


def test_the_search_finds_where_the_day_begins(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnover, "OVERLAP", 0)
    for _ in range(20):
        bank.open("1.00")
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as superuser:
        superuser.execute("SET session_replication_role = replica")  # past the trigger that guards events
        positions = [position for (position,) in superuser.execute("SELECT position FROM events ORDER BY position")]
        superuser.execute(
            "UPDATE events SET timestamp = timestamp - interval '2 days' WHERE position < %s", (positions[13],)
        )

    assert turnover._first_position(turnover.midnight()) == positions[13]
