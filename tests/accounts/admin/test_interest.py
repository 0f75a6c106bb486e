"""Interest in the admin: what was earned and why, and how a rate is set."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client

from accounts.models import Interest, InterestRate
from accounts.services.interest import book_interest
from ops.models import AuditEntry
from tests.accounts.earning import JANUARY, rate, saver, settle, today_is
from tests.bank import Bank
from tests.ops.admin.dialog import asked, confirm, decide, page_text, preview, worked
from tests.staff import make_staff, signed_in

RATES, INTEREST = "/admin/accounts/interestrate/", "/admin/accounts/interest/"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()
RATE = {"product": "savings", "currency": "eur", "from_day": str(TOMORROW), "earned": "2.5", "owed": "0"}


@pytest.fixture
def alice(bank: Bank) -> Client:
    return signed_in(make_staff("supervisor", name="alice"))


@pytest.fixture
def bob(bank: Bank) -> Client:
    return signed_in(make_staff("supervisor", name="bob"))


@pytest.fixture
def january(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Interest:
    """What Ann earned in it, booked."""
    saver(bank)
    rate(JANUARY, 100_000)
    settle()
    with monkeypatch.context() as patch:
        today_is(patch, date(2026, 2, 3))
        book_interest()
    return Interest.objects.get()


def rows(answer: Any) -> list[list[str]]:
    return [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in answer.context["rows"]]


def test_two_persons_set_a_rate_for_a_day_to_come(bank: Bank, alice: Client, bob: Client) -> None:
    saver(bank)
    text, note = preview(alice, f"{RATES}set/", **RATE)
    assert f"From {TOMORROW} (UTC) on, a Savings account in EUR earns 2.50 % and owes 0.00 % a year." in text
    assert "Without it, it earns and owes nothing then." in text
    assert "Accounts that it is about, as of now: 1." in text
    approval = asked(confirm(alice, f"{RATES}set/", note))
    assert InterestRate.objects.count() == 0
    page = bob.get(f"/admin/ops/approval/{approval.pk}/change/")
    assert dict(page.context["in_words"]) == {
        "Product": "Savings account",
        "Currency": "EUR",
        "From (UTC)": str(TOMORROW),
        "Earned a year": "2.50 %",
        "Owed a year": "0.00 %",
    }

    assert decide(alice, approval).state == "pending"
    assert decide(bob, approval).outcome == "done"

    found = InterestRate.objects.get()
    assert (found.product, found.currency, found.from_day) == ("savings", "EUR", TOMORROW)
    assert (found.earned, found.owed) == (25_000, 0)
    assert (found.asked_by, found.approved_by) == ("staff:alice", "staff:bob")
    assert found.approval_id == approval.pk
    assert AuditEntry.objects.filter(action="set_interest_rate").exists()
    assert rows(alice.get(RATES))[0][:5] == ["Savings account", "EUR", str(TOMORROW), "2.50 %", "0.00 %"]


def test_a_rate_that_was_set_meanwhile_makes_a_question_stale(bank: Bank, alice: Client, bob: Client) -> None:
    first = asked(confirm(alice, f"{RATES}set/", preview(alice, f"{RATES}set/", **RATE)[1]))
    other = {**RATE, "earned": "3"}
    second = asked(confirm(alice, f"{RATES}set/", preview(alice, f"{RATES}set/", **other)[1]))
    assert decide(bob, second).outcome == "done"

    first = decide(bob, first)
    assert first.state == "stale"
    assert "Another rate was set for this product and currency." in first.decision_reason

    assert [found.earned for found in InterestRate.objects.all()] == [30_000]


def test_a_day_that_has_begun_is_refused(bank: Bank, alice: Client) -> None:
    today = datetime.now(UTC).date()

    text, note = preview(alice, f"{RATES}set/", **{**RATE, "from_day": str(today)})

    assert (f"{today} has begun (days are UTC days)" in text, note) == (True, "")


def test_a_day_that_begins_before_it_is_approved_sets_nothing(
    bank: Bank, alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = asked(confirm(alice, f"{RATES}set/", preview(alice, f"{RATES}set/", **RATE)[1]))

    with monkeypatch.context() as patch:
        patch.setattr("accounts.services.interest_rates.today", lambda: TOMORROW)
        approval = decide(bob, approval)

    assert (approval.outcome, InterestRate.objects.count()) == ("failed", 0)
    assert "has begun" in approval.result[0]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"earned": "2,5"}, "percentage from 0 to 100"),
        ({"owed": "101"}, "percentage from 0 to 100"),
        ({"currency": "XXY"}, "ISO 4217 code"),
        ({"from_day": "soon"}, "Write a day, such as 2026-01-31."),
        ({"product": "gold"}, "not one of the available choices"),
        ({"reason": ""}, "required"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(bank: Bank, alice: Client, fields: dict[str, str], told: str) -> None:
    text, note = preview(alice, f"{RATES}set/", **{**RATE, **fields})

    assert (told in text, note) == (True, "")


def test_who_may_not_set_rates_is_offered_and_allowed_nothing(bank: Bank, teller: Client) -> None:
    assert f"{RATES}set/" not in page_text(teller.get(RATES))
    assert teller.get(f"{RATES}set/").status_code == 403
    assert teller.post(f"{RATES}set/", RATE).status_code == 403
    assert f"{INTEREST}book/" not in page_text(teller.get(INTEREST))
    assert teller.get(f"{INTEREST}book/").status_code == 403


def test_the_list_tells_what_became_of_each(bank: Bank, january: Interest, teller: Client) -> None:
    [row] = rows(teller.get(INTEREST))

    account, transaction = str(january.account_id), str(january.transaction_id)
    assert row == ["2026-01", account, "Earned", "31.00", "Booked", transaction, "–"]
    assert len(rows(teller.get(f"{INTEREST}?account={account}&month=2026-01"))) == 1
    assert rows(teller.get(f"{INTEREST}?month=2026-02")) == []
    assert rows(teller.get(f"{INTEREST}?show=due")) == []
    assert "Write a month, such as 2026-01." in page_text(teller.get(f"{INTEREST}?month=January"))


def test_the_page_explains_it_by_days_balances_and_rates(bank: Bank, teller: Client, monkeypatch: Any) -> None:
    ann = saver(bank)
    rate(JANUARY, 100_000)
    rate(date(2026, 1, 11), 200_001)
    settle()
    with monkeypatch.context() as patch:
        today_is(patch, date(2026, 2, 3))
        book_interest()

    answer = teller.get(f"{INTEREST}{Interest.objects.get(account_id=ann).pk}/change/")

    assert rows(answer) == [
        ["2026-01-01", "2026-01-10", "10", "3650.00", "10.00 %", "10.00000000 EUR"],
        ["2026-01-11", "2026-01-31", "21", "3650.00", "20.0001 %", "42.00021000 EUR"],
    ]
    facts = {name: str(getattr(value, "plain", value)) for name, value in answer.context["facts"]}
    assert (facts["Exactly"], facts["Amount"], facts["Status"]) == ("52.00021000 EUR", "52.00", "Booked")
    assert "not what was reckoned" not in page_text(answer)


def test_books_that_make_something_else_now_are_told(
    bank: Bank, january: Interest, teller: Client, sweeper: psycopg.Connection
) -> None:
    sweeper.execute("UPDATE daily_balances SET closing_balance = 730000 WHERE account_id = %s", (january.account_id,))

    text = page_text(teller.get(f"{INTEREST}{january.pk}/change/"))

    assert "The days below make 62.00000000 EUR, so" in text
    assert "not what was reckoned when the month was over" in text


def test_a_frozen_account_is_shown_with_why(bank: Bank, teller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    rate(JANUARY, 100_000)
    settle()
    bank.freeze(ann)
    with monkeypatch.context() as patch:
        today_is(patch, date(2026, 2, 3))
        book_interest()

    [row] = rows(teller.get(f"{INTEREST}?show=due"))

    assert row[4:] == ["Due", "–", "The account is frozen: bank staff must unfreeze it first."]
    due = Interest.objects.get()
    assert "must unfreeze it first. (account_frozen)" in page_text(teller.get(f"{INTEREST}{due.pk}/change/"))


def test_a_supervisor_has_it_booked_by_a_job(bank: Bank, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    rate(JANUARY, 100_000)
    settle()
    text, note = preview(alice, f"{INTEREST}book/")
    assert "Months to be reckoned: 2026-01" in text
    assert bank.balance(ann) == 365_000

    job = worked(confirm(alice, f"{INTEREST}book/", note))

    assert job.state == "done", job.report
    months = (datetime.now(UTC).year - 2026) * 12 + datetime.now(UTC).month - 1
    assert job.report[1] == f"Booked: {months}."
    assert bank.balance(ann) > 365_000


def test_interest_in_yen_has_no_decimals(bank: Bank, teller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    yen = Bank("JPY")
    saver(yen)
    rate(JANUARY, 100_000, currency="JPY")
    settle()
    with monkeypatch.context() as patch:
        today_is(patch, date(2026, 2, 3))
        book_interest()

    due = Interest.objects.get()

    assert due.amount == 3_100
    assert rows(teller.get(f"{INTEREST}{due.pk}/change/"))[0][-1] == "3100.000000 JPY"
