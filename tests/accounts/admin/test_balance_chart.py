"""The balance over time on an account's page: a drawing, its words, and the same figures as a table."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.test import Client

from accounts.admin.balance_chart import MOST_POINTS
from accounts.models import DailyBalance
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank


def history(client: Client, account: UUID) -> tuple[Any, str]:
    answer = client.get(f"/admin/accounts/account/{account}/change/")
    return answer.context["history"], answer.content.decode()


def table(found: Any) -> list[list[str]]:
    return [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in found.rows]


def closing(account: UUID, days: int) -> None:
    """A day's balance is its number."""
    DailyBalance.objects.bulk_create(
        DailyBalance(
            account_id=account,
            day=date(2025, 1, 1) + timedelta(days=number),
            currency="EUR",
            closing_balance=100 * number,
            credits=100,
            debits=0,
            postings=1,
            version=number + 1,
        )
        for number in range(days)
    )


def test_a_young_account_is_drawn_by_its_postings(bank: Bank, teller: Client) -> None:
    ann = bank.open("100.00")
    bank.withdraw(ann, "30.50")
    bank.deposit(ann, "5.00")
    catch_up(registered())

    found, page = history(teller, ann)

    assert [balance for _, balance in table(found)] == ["74.50", "69.50", "100.00"], "newest first"
    assert found.label == "Balance from 100.00 EUR, to 74.50 EUR, lowest 69.50 EUR, highest 100.00 EUR"
    assert f'role="img" aria-label="{found.label}"' in page
    assert "over the last 3 postings" in page


def test_an_older_one_is_drawn_by_days_and_never_by_more_than_fit(bank: Bank, teller: Client) -> None:
    ann = bank.open()
    closing(ann, MOST_POINTS + 30)

    found, page = history(teller, ann)

    assert len(found.rows) == MOST_POINTS
    assert table(found)[0] == ["2025-05-30", "149.00"]
    assert found.chart.line.count("H") == MOST_POINTS - 1
    assert f"over the last {MOST_POINTS} days on which money moved" in page
    assert "style=" not in page[page.index("<svg") : page.index("</svg>")]


def test_without_money_moved_the_page_says_so(bank: Bank, teller: Client) -> None:
    ann = bank.open()

    found, page = history(teller, ann)

    assert found.rows == []
    assert "<svg class" not in page
    assert "No money has moved yet" in page


def test_one_movement_is_a_figure_but_no_line(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")
    catch_up(registered())

    found, page = history(teller, ann)

    assert found.chart is None
    assert "A line is drawn when money has moved twice" in page


def test_the_page_says_where_nothing_is_held(bank: Bank, teller: Client) -> None:
    assert "Nothing is held" in history(teller, bank.open())[1]
