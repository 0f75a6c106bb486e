"""The trial balance in the admin."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.test import Client

from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank
from tests.staff import make_staff, signed_in

URL = "/admin/accounts/ledgerday/"
TODAY = datetime.now(UTC).date()


def table(answer: Any, place: int = 0) -> list[list[str]]:
    return [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in answer.context["books"][place]["rows"]]


@pytest.fixture
def history(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    bank.transfer(ann, bob, "30.00")
    catch_up(registered())


@pytest.mark.usefixtures("history")
def test_today_is_shown_with_a_sum_of_zero(teller: Client) -> None:
    answer = teller.get(URL)

    assert table(answer) == [
        ["cash:EUR", "0.00", "-100.00", "0.00", "-100.00", "1"],
        ["Customers, all accounts", "0.00", "-30.00", "130.00", "100.00", "3"],
        ["Sum", "0.00", "-130.00", "130.00", "0.00", "4"],
    ]
    page = answer.content.decode()
    assert "zero in every currency" in page
    assert "until now: more may be recorded" in page
    assert "/admin/accounts/journalline/?ledger=cash%3AEUR" in page


@pytest.mark.usefixtures("history")
def test_yesterday_is_final_and_had_no_books(teller: Client) -> None:
    answer = teller.get(f"{URL}?day={TODAY - timedelta(days=1)}")

    assert answer.context["books"] == []
    assert "No money has moved up to that day." in answer.content.decode()
    assert [day["label"] for day in answer.context["days"]] == ["The day before", "The day after", "Last month's end"]


def test_books_of_which_something_is_missing_say_so(bank: Bank, teller: Client, sweeper: psycopg.Connection) -> None:
    bank.open("100.00")
    assert "not complete: the read model ledger_days lacks postings" in teller.get(URL).content.decode()

    catch_up(registered())
    sweeper.execute("UPDATE ledger_days SET credits = 0 WHERE ledger_account = 'customers'")
    page = teller.get(URL).content.decode()

    assert "NOT zero" in page
    assert "Have the books proved" in page


@pytest.mark.parametrize(
    ("day", "told"),
    [
        ("yesterday", "Write a day, such as 2026-01-31."),
        (str(TODAY + timedelta(days=1)), "That day has not begun (days are UTC days)."),
    ],
)
def test_a_day_that_cannot_be_is_told_at_its_field(day: str, told: str, teller: Client) -> None:
    answer = teller.get(f"{URL}?day={day}")

    assert answer.context["form"].errors["day"] == [told]
    assert "found" not in answer.context


@pytest.mark.django_db
def test_it_is_for_those_who_may_see_the_books_and_changes_nothing() -> None:
    nobody = User.objects.create(username="nobody", is_staff=True)

    assert signed_in(nobody).get(URL).status_code == 403
    viewer = signed_in(make_staff("viewer"))
    assert (viewer.get(URL).status_code, viewer.post(URL).status_code) == (200, 405)
