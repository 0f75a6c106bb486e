"""The account list: search and filters, each served by an index, in pages."""

from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.bank import Bank
from tests.eventstore.admin.test_large_tables import rows_read

LIST = "/admin/accounts/account/"
ACCOUNTS = 20_000
PAGE = 50


def owners(client: Client, query: str) -> list[str]:
    rows = client.get(f"{LIST}?{query}").context["rows"]
    return [str(row[0][1]).split(">")[1].split("<")[0] for row in rows]


def test_an_owner_is_found_by_the_beginning_of_the_name_in_any_case(bank: Bank, teller: Client) -> None:
    for owner in ("Ann Archer", "ANNIE Hall", "Joanna", "Änne", "A_n", "A%n"):
        bank.open(owner=owner)

    assert owners(teller, "search=ann") == ["Ann Archer", "ANNIE Hall"]
    assert owners(teller, "search=Ann+Archer") == ["Ann Archer"]
    assert owners(teller, "search=a%25") == ["A%n"]
    assert owners(teller, "search=a_") == ["A_n"]
    assert owners(teller, "search=nobody") == []


def test_an_account_is_found_by_its_id(bank: Bank, teller: Client) -> None:
    ann, _ = bank.open(owner="Ann"), bank.open(owner="Bob")

    assert owners(teller, f"search={ann}") == ["Ann"]
    assert owners(teller, f"search={str(ann).upper()}") == ["Ann"]
    assert owners(teller, f"search={UUID(int=1)}") == []


def test_filters_narrow_together(bank: Bank, teller: Client) -> None:
    bank.open(owner="Ann")
    bank.freeze(bank.open(owner="Fay"))
    Bank(currency="JPY").open(owner="Chiyo")
    bank.open(owner="Sam", product="savings")

    assert owners(teller, "status=frozen") == ["Fay"]
    assert owners(teller, "currency=JPY") == ["Chiyo"]
    assert owners(teller, "product=savings") == ["Sam"]
    assert owners(teller, "status=open&currency=EUR&product=current") == ["Ann"]
    assert owners(teller, "status=open&currency=EUR&product=current&search=f") == []


@pytest.fixture
def many_accounts(db: None, sweeper: psycopg.Connection) -> None:
    sweeper.execute(
        """
        INSERT INTO accounts (id, owner, currency, product, custodian, overdraft_limit, status, balance, held,
                              version, opened_at, updated_at)
        SELECT lpad(to_hex(n), 32, '0')::uuid, 'Owner ' || n %% 1000,
               CASE WHEN n %% 500 = 0 THEN 'JPY' ELSE 'EUR' END,
               CASE WHEN n %% 1000 = 1 THEN 'savings' ELSE 'current' END, 'bank', 0,
               CASE WHEN n %% 1000 = 2 THEN 'frozen' ELSE 'open' END, 0, 0, 1, now(), now()
          FROM generate_series(1, %s) AS n
        """,
        (ACCOUNTS,),
    )
    sweeper.execute("VACUUM ANALYZE accounts")  # what other tests removed must not weigh in the plans


QUERIES = {
    "the first page": "",
    "the last page": "end=1",
    "a common status": "status=open",
    "a rare status": "status=frozen",
    "a rare currency": "currency=JPY",
    "a rare product": "product=savings",
    "an owner": "search=owner+77",
    "everybody by the beginning of the name": "search=o",
    "an id": f"search={UUID(int=77)}",
}


@pytest.mark.usefixtures("many_accounts")
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_page_of_a_large_bank_is_found_by_an_index(teller: Client, query: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = teller.get(f"{LIST}?{query}")

    assert answer.context["rows"]
    (sql,) = [q["sql"] for q in captured if 'FROM "accounts"' in q["sql"]]
    assert "OFFSET" not in sql
    assert "COUNT(" not in sql.upper()
    assert rows_read(sql) <= 4 * PAGE


@pytest.mark.usefixtures("many_accounts")
def test_pages_of_a_search_by_name_meet_every_account_once(teller: Client) -> None:
    seen: list[str] = []
    url: str | None = f"{LIST}?search=owner+1"
    while url:
        context = teller.get(url).context
        seen += [str(row[0][1]) for row in context["rows"]]
        url = context["older_url"]

    assert len(seen) == len(set(seen)) == ACCOUNTS // 1000 * 111


def test_the_page_of_an_account_takes_a_fixed_number_of_queries(bank: Bank, supervisor: Client) -> None:
    ann = bank.open("1.00")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            supervisor.get(f"{LIST}{ann}/change/")
        counts.append(len(captured))
        for _ in range(30):
            bank.deposit(ann, "1.00")

    assert counts[0] == counts[1] <= 10, "four for who asks, the account, holds, timeline, statement, days, approvals"


def test_a_long_timeline_is_read_page_by_page(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")
    for _ in range(30):
        bank.deposit(ann, "1.00")
    versions: list[int] = []
    url: str | None = f"{LIST}{ann}/change/"
    while url:
        context = teller.get(url).context
        versions += [entry.version for entry in context["timeline"]]
        url = context["older_url"]

    assert versions == list(range(32, 0, -1))
