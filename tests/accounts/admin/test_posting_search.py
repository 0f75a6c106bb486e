"""The search among the postings of an account: by amount, by words and by time, however many there are."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.admin import posting_search
from accounts.domain.commands import Deposit, OpenAccount, Withdraw
from accounts.services import execute
from eventstore.events import new_id
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.html import plain_of
from tests.accounts.admin.forms import errors
from tests.bank import Bank
from tests.ops.admin.dialog import page_text
from tests.plans import rows_read

LIST = "/admin/accounts/transaction/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def look(client: Client, query: str) -> Any:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 200
    return answer


def found(client: Client, query: str) -> list[str]:
    """The descriptions of what is listed."""
    return [str(plain_of(row[-1][1])) for row in look(client, query).context["rows"]]


@pytest.fixture
def ann(bank: Bank) -> UUID:
    """Four postings on four days at noon."""
    account = new_id()
    said = ("Salary for March", "Rent", "Salary, corrected", "Rent in cash")
    commands: list[Any] = [OpenAccount(account, "Ann", "EUR")]
    commands += [
        Deposit(account, bank.money("30.00"), description=said[0]),
        Withdraw(account, bank.money("12.34"), description=said[1]),
        Deposit(account, bank.money("12.34"), description=said[2]),
        Withdraw(account, bank.money("5.00"), description=said[3]),
    ]
    for day, command in enumerate(commands):
        execute([bank.envelope(command)], recorded_at=NOON + timedelta(days=day))
    bank.do(Deposit(bank.open(owner="Bob"), bank.money("12.34"), description="Rent of another"))
    catch_up(registered())
    return account


@pytest.mark.parametrize(
    ("query", "descriptions"),
    [
        ("amount=12.34", ["Salary, corrected", "Rent"]),
        ("amount=%2B12.34", ["Salary, corrected"]),
        ("amount=-12.34", ["Rent"]),
        ("amount=+5+", ["Rent in cash"]),
        ("amount=7.00", []),
        ("words=rENT", ["Rent in cash", "Rent"]),
        ("words=cash:eur&amount=30", ["Salary for March"]),
        ("words=%25", []),
        ("since=2026-03-03T12:00", ["Rent in cash", "Salary, corrected", "Rent"]),
        ("until=2026-03-03T12:00", ["Salary for March"]),
        ("since=2026-03-03&until=2026-03-05T12:00", ["Salary, corrected", "Rent"]),
        ("since=2026-03-04&words=rent", ["Rent in cash"]),
        ("since=2027-01-01", []),
        ("until=2020-01-01", []),
    ],
)
def test_postings_of_an_account_are_found_by_amount_words_and_time(
    ann: UUID, teller: Client, query: str, descriptions: list[str]
) -> None:
    assert found(teller, f"account={ann}&{query}") == descriptions


@pytest.mark.parametrize("query", ["amount=1.00", "words=rent", "since=2026-03-01", "until=2026-03-01"])
def test_without_an_account_nothing_is_searched(ann: UUID, teller: Client, query: str) -> None:
    answer = look(teller, query)

    (name,) = errors(answer)
    assert query.startswith(name)
    assert "Name the account too" in errors(answer)[name][0]
    assert answer.context["rows"] == []


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ("amount=1,50", "amount", "digits with a point"),
        ("amount=1.234", "amount", "2 decimals"),
        ("since=x", "since", "Write a"),
    ],
)
def test_what_cannot_be_searched_for_is_told_at_its_field(
    ann: UUID, teller: Client, query: str, field: str, told: str
) -> None:
    answer = look(teller, f"account={ann}&{query}")

    assert told in errors(answer)[field][0]
    assert answer.context["rows"] == []


def test_an_account_that_is_not_there_has_no_postings(ann: UUID, teller: Client) -> None:
    assert found(teller, f"account={UUID(int=5)}&amount=12.34&since=2026-01-01") == []


def test_a_search_says_how_far_it_looked_and_leads_further_back(
    ann: UUID, teller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting_search, "MOST", 2)
    assert found(teller, f"account={ann}&words=rent&until=2026-03-04") == ["Rent"]

    answer = look(teller, f"account={ann}&words=rent")

    assert len(answer.context["rows"]) == 1
    assert "The newest 2 of these postings were looked through, back to 2026-03-04 12:00:00 UTC." in page_text(answer)
    further = page_text(answer).split('href="?')[1].split('"')[0]
    assert found(teller, further) == ["Rent"]
    assert "looked through" not in page_text(look(teller, f"account={ann}&since=2026-03-01")), "an index finds these"


@pytest.fixture
def busy(bank: Bank, sweeper: psycopg.Connection) -> UUID:
    """An account with twenty thousand postings, among as many of others."""
    account = bank.open()
    sweeper.execute(
        """
        INSERT INTO transactions (position, account_id, version, transaction_id, kind, amount, currency, balance,
                                  contra, description, value_date, recorded_at)
        SELECT n, CASE WHEN n %% 2 = 0 THEN %s ELSE gen_random_uuid() END, n, gen_random_uuid(), 'Deposited', 100,
               'EUR', 100, 'cash:EUR', 'Coffee', '2026-01-01',
               '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second'
          FROM generate_series(1, 40000) AS n
        """,
        (account,),
    )
    sweeper.execute("VACUUM ANALYZE transactions")
    return account


@pytest.mark.parametrize("query", ["words=tea", "amount=5", "words=tea&end=1"])
def test_a_search_reads_a_bounded_number_of_rows(
    busy: UUID, teller: Client, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    monkeypatch.setattr(posting_search, "MOST", 500)
    teller.get(LIST)
    with CaptureQueriesContext(connection) as captured:
        assert found(teller, f"account={busy}&{query}") == []

    asked = [each["sql"] for each in captured if 'FROM "transactions"' in each["sql"]]
    assert len(asked) == 2, "how far, and what is there"
    assert sum(rows_read(sql) for sql in asked) <= 2 * 501
