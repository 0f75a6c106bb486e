"""A statement of some days in the admin: what a customer is handed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.admin import statement_page
from accounts.roles import ROLES
from tests.bank import Bank
from tests.staff import make_staff, signed_in


def url(account: UUID, **query: object) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return f"/admin/accounts/account/{account}/statement/?{asked}"


def postings(answer: Any) -> list[list[str]]:
    """Kind, amount and balance of each, without HTML."""
    plain = [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in answer.context["rows"]]
    return [[row[2], *row[-2:]] for row in plain]


def figures(answer: Any) -> dict[str, str]:
    return {name: str(cell.plain) for name, cell in answer.context["figures"]}


@pytest.fixture
def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture
def ann(bank: Bank) -> UUID:
    account = bank.open("100.00", owner="Ann")
    bank.withdraw(account, "30.50")
    bank.freeze(account)
    return account


def test_this_month_is_shown_with_what_was_before_and_after_and_every_posting(ann: UUID, teller: Client) -> None:
    answer = teller.get(url(ann))

    assert figures(answer) == {
        "Balance before": "0.00",
        "Credits": "100.00",
        "Debits": "-30.50",
        "Balance after": "69.50",
    }
    assert postings(answer) == [
        ["Account opened", "0.00", "0.00"],
        ["Deposit", "100.00", "100.00"],
        ["Withdrawal", "-30.50", "69.50"],
    ]
    assert answer.context["form"]["to"].value() == f"{datetime.now(UTC):%Y-%m-%d}"
    assert "until now: more may be recorded" in answer.content.decode()


def test_a_long_one_is_paged_and_its_figures_stay_those_of_all_days(
    ann: UUID, teller: Client, today: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_page, "PAGE", 2)
    first = teller.get(url(ann, **{"from": today, "to": today}))
    second = teller.get(first.context["next_url"])

    assert [len(postings(page)) for page in (first, second)] == [2, 1]
    assert postings(second)[0][0] == "Withdrawal"
    assert figures(first) == figures(second)
    assert "2 of 3 postings are on this page." in first.content.decode()
    assert (second.context["next_url"], first.context["first_url"]) == ("", "")
    assert teller.get(second.context["first_url"]).context["rows"] == first.context["rows"]


@pytest.mark.parametrize(
    ("first", "last", "field", "told"),
    [
        ("2026-02-30", "{today}", "from", "Write a day, such as 2026-01-31."),
        ("", "{today}", "from", "Write a day, such as 2026-01-31."),
        ("{tomorrow}", "{today}", "from", "The first day comes after the last."),
        ("{today}", "{tomorrow}", "to", "That day has not begun"),
        ("2020-01-01", "2020-01-31", "to", "The account was opened after that day."),
        ("2020-01-01", "{today}", "from", "A statement covers at most 366 days."),
    ],
)
def test_days_that_cannot_be_are_told_at_their_field(
    ann: UUID, teller: Client, today: str, first: str, last: str, field: str, told: str
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    days = {"from": first, "to": last}
    asked = {name: day.format(today=today, tomorrow=tomorrow) for name, day in days.items()}

    answer = teller.get(url(ann, **asked))

    assert told in answer.context["form"].errors[field][0]
    assert "statement" not in answer.context


@pytest.mark.parametrize("role", sorted(ROLES))
def test_who_may_see_transactions_may_see_the_statement(ann: UUID, role: str) -> None:
    user = make_staff(role)
    client, may = signed_in(user), user.has_perm("accounts.view_transaction")
    assert client.get(url(ann)).status_code == (200 if may else 403)
    assert client.post(url(ann)).status_code in (403, 405)
