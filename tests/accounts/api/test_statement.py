"""GET /accounts/{id}/statement tells what happened from one day to another, from the books, and keeps telling it."""

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from accounts.domain.commands import Command, Deposit, FreezeAccount, OpenAccount, Transfer, UnfreezeAccount, Withdraw
from accounts.domain.money import Money
from accounts.services import Executed, execute
from eventstore import snapshots, store
from eventstore.events import new_id
from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.bank import Bank

MARCH = date(2026, 3, 1)


def euros(amount: str) -> Money:
    return Bank().money(amount)


class Past:
    """Accounts in the caller's care, with a history of days in March 2026."""

    def __init__(self, bank: Bank, api: Caller) -> None:
        self._bank = bank
        self._custodian = api.client.custodian or ""

    def open(self, day: int, balance: str = "0") -> UUID:
        account_id = new_id()
        deposit = euros(balance).minor if balance != "0" else 0
        self.do(day, OpenAccount(account_id, "Ann", "EUR", opening_deposit=deposit, custodian=self._custodian))
        return account_id

    def do(self, day: int, *commands: Command, at: time = time(12)) -> None:
        moment = datetime.combine(MARCH + timedelta(days=day - 1), at, UTC)
        outcomes = execute([self._bank.envelope(command) for command in commands], recorded_at=moment)
        assert all(isinstance(outcome, Executed) for outcome in outcomes)


@pytest.fixture
def past(bank: Bank, api: Caller) -> Past:
    return Past(bank, api)


def days(first: int, last: int) -> dict[str, str]:
    return {"from": f"2026-03-{first:02}", "to": f"2026-03-{last:02}"}


def ask(api: Caller, account_id: UUID, first: int, last: int, **query: str) -> dict[str, Any]:
    answer = api.get(f"/accounts/{account_id}/statement", days(first, last) | query)
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_it_tells_balances_totals_and_each_posting_of_its_days(api: Caller, past: Past) -> None:
    ann = past.open(1, "100.00")
    bob = past.open(1)
    past.do(4, Deposit(ann, euros("5.00"), description="Refund"))
    past.do(5, FreezeAccount(ann), UnfreezeAccount(ann))
    past.do(6, Transfer(ann, bob, euros("30.00")))
    past.do(9, Withdraw(ann, euros("1.00")))

    told = ask(api, ann, 2, 8)

    rows = told.pop("results")
    last = Event.objects.get(aggregate_id=ann, version=5)
    assert told == {
        "account_id": str(ann),
        "owner": "Ann",
        "currency": "EUR",
        "first_day": "2026-03-02",
        "last_day": "2026-03-08",
        "opening_balance": "100.00",
        "credits": "5.00",
        "debits": "-30.00",
        "closing_balance": "75.00",
        "posting_count": 2,
        "closing_version": 5,
        "closing_hash": bytes(last.hash).hex(),
        "is_final": True,
        "next": None,
        "next_cursor": None,
    }
    assert [(row["amount"], row["balance"], row["value_date"]) for row in rows] == [
        ("5.00", "105.00", "2026-03-04"),
        ("-30.00", "75.00", "2026-03-06"),
    ]
    assert rows[0]["description"] == "Refund"
    assert rows[1]["contra"] == f"account:{bob}"


def test_a_day_is_what_was_recorded_from_midnight_to_midnight_utc(api: Caller, past: Past) -> None:
    ann = past.open(1)
    past.do(2, Deposit(ann, euros("1.00")), at=time(23, 59, 59, 999999))
    past.do(3, Deposit(ann, euros("2.00")), at=time(0))
    past.do(3, Deposit(ann, euros("4.00")), at=time(23, 59, 59, 999999))
    past.do(4, Deposit(ann, euros("8.00")), at=time(0))

    told = ask(api, ann, 3, 3)

    assert [row["amount"] for row in told["results"]] == ["2.00", "4.00"]
    assert (told["opening_balance"], told["closing_balance"]) == ("1.00", "7.00")


def test_statements_of_days_that_follow_one_another_join_without_a_gap(api: Caller, past: Past) -> None:
    dice = random.Random(random.randrange(2**32))
    ann = past.open(1, "500.00")
    for day in range(1, 29):
        for _ in range(dice.randrange(4)):
            kind = dice.choice([Deposit, Withdraw])
            past.do(day, kind(ann, euros(f"{dice.randint(1, 4)}.{dice.randint(10, 99)}")), at=time(13))
    cuts = sorted(dice.sample(range(2, 28), 5))
    parts = [ask(api, ann, first, last - 1) for first, last in zip([1, *cuts], [*cuts, 29], strict=True)]
    whole = ask(api, ann, 1, 28)

    assert [part["opening_balance"] for part in parts[1:]] == [part["closing_balance"] for part in parts[:-1]]
    assert [row for part in parts for row in part["results"]] == whole["results"]
    assert sum(part["posting_count"] for part in parts) == whole["posting_count"] == len(whole["results"])
    assert parts[-1]["closing_hash"] == whole["closing_hash"]


def test_days_without_a_posting_have_a_statement_too(api: Caller, past: Past) -> None:
    ann = past.open(1, "10.00")

    told = ask(api, ann, 5, 6)

    assert (told["opening_balance"], told["closing_balance"]) == ("10.00", "10.00")
    assert (told["results"], told["posting_count"], told["credits"], told["debits"]) == ([], 0, "0.00", "0.00")


def test_it_may_begin_before_the_account_did_but_not_end_so(api: Caller, past: Past) -> None:
    ann = past.open(10, "10.00")

    told = ask(api, ann, 1, 31)
    assert (told["opening_balance"], told["credits"], told["closing_balance"]) == ("0.00", "10.00", "10.00")

    answer = api.get(f"/accounts/{ann}/statement", days(1, 9))
    assert refusal(answer) == (404, "account_not_yet_opened")
    assert answer.json()["opened_at"].startswith("2026-03-10T12:00:00")


def test_pages_tell_the_same_totals_and_every_posting_once(api: Caller, past: Past) -> None:
    ann = past.open(1, "10.00")
    for day in range(2, 9):
        past.do(day, Deposit(ann, euros("1.00")))
    page = ask(api, ann, 2, 31, page_size="3")
    first, seen = page, [row["version"] for row in page["results"]]

    while page["next_cursor"]:
        page = ask(api, ann, 2, 31, page_size="3", cursor=page["next_cursor"])
        assert {**page, "results": [], "next": "", "next_cursor": ""} == {
            **first, "results": [], "next": "", "next_cursor": "",
        }  # fmt: skip
        seen += [row["version"] for row in page["results"]]

    assert seen == list(range(2, 9))


def test_today_s_statement_ends_now_and_is_not_final(api: Caller) -> None:
    ann = api.open("10.00")
    today = datetime.now(UTC).date()
    query = {"from": (today - timedelta(days=1)).isoformat(), "to": today.isoformat()}
    before = api.get(f"/accounts/{ann}/statement", query).json()
    api.post(f"/accounts/{ann}/deposits", {"amount": "1.00", "currency": "EUR"})

    after = api.get(f"/accounts/{ann}/statement", query).json()

    assert (before["is_final"], after["is_final"]) == (False, False)
    assert (before["closing_balance"], after["closing_balance"]) == ("10.00", "11.00")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "from"),
        ({"from": "2026-03-01"}, "to"),
        ({"from": "2026-3-1", "to": "2026-03-02"}, "from"),
        ({"from": "2026-03-01", "to": "2026-02-30"}, "to"),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"from": "2025-03-01", "to": "2026-03-02"}, "from"),
        ({"from": "2026-03-01", "to": "9999-12-31"}, "to"),
        ({"from": "٢026-03-01", "to": "2026-03-02"}, "from"),
    ],
)
def test_days_that_cannot_be_are_refused_by_name(api: Caller, past: Past, query: dict[str, str], field: str) -> None:
    answer = api.get(f"/accounts/{past.open(1)}/statement", query)

    assert refusal(answer) == (400, "validation_failed")
    assert fields_at_fault(answer) == {field: "validation_failed"}


def test_the_longest_period_is_a_leap_year(api: Caller, past: Past) -> None:
    ann = past.open(1)
    year = {"from": "2025-03-03", "to": "2026-03-03"}
    assert api.get(f"/accounts/{ann}/statement", year).status_code == 200
    assert api.get(f"/accounts/{ann}/statement", year | {"from": "2025-03-02"}).status_code == 400


def test_an_account_out_of_reach_has_none(api: Caller, bank: Bank) -> None:
    theirs = bank.open("5.00")

    assert refusal(api.get(f"/accounts/{theirs}/statement", days(1, 2))) == (404, "account_not_found")


def test_balances_and_totals_that_contradict_each_other_are_not_told(api: Caller, past: Past) -> None:
    ann = past.open(1, "10.00")
    past.do(2, Deposit(ann, euros("1.00")))
    state = store.load(ann).state
    snapshots.save("account", snapshots.Snapshot(ann, 2, 1, structs.replace(state, balance=7)))

    with capture_logs() as logs:
        answer = api.get(f"/accounts/{ann}/statement", days(1, 31))

    assert (answer.status_code, answer.json()["code"]) == (500, "broken_history")
    assert "1100" not in answer.content.decode()
    [broken] = [each["error"] for each in logs if each["event"] == "history_broken"]
    assert "0 at version 0, 1100 and 0 after it do not make 7 at version 2" in broken
