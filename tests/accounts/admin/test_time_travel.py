"""An account as of any moment or version, with the difference to now."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.test import Client

from accounts.roles import ROLES
from eventstore.models import Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank
from tests.staff import make_staff, signed_in


def url(account: UUID, **query: object) -> str:
    asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    return f"/admin/accounts/account/{account}/as-of/?{asked}"


def told(answer: Any) -> dict[str, list[str]]:
    """Then, now and the difference of each field, without HTML."""
    rows = [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in answer.context["rows"]]
    return {name: rest for name, *rest in rows}


def recorded(account: UUID, version: int) -> datetime:
    return Event.objects.get(aggregate_id=account, version=version).timestamp


@pytest.fixture
def ann(bank: Bank) -> UUID:
    """Version 1 opened, 2 +100.00, 3 -30.50, 4 limit 50.00, 5 frozen."""
    account = bank.open("100.00", owner="Ann")
    bank.withdraw(account, "30.50")
    bank.limit(account, "50.00")
    bank.freeze(account)
    return account


def test_a_version_is_shown_with_the_difference_to_now_field_by_field(ann: UUID, teller: Client) -> None:
    fields = told(teller.get(url(ann, version=2)))

    assert fields["Version"] == ["2", "5", "+3"]
    assert fields["Ledger balance"] == ["100.00", "69.50", "-30.50"]
    assert fields["Available"] == ["100.00", "119.50", "19.50"]
    assert fields["Overdraft limit"] == ["0.00", "50.00", "50.00"]
    assert fields["Status"] == ["Open", "Frozen", "changed"]
    assert fields["Owner"] == ["Ann", "Ann", "the same"]


def test_a_moment_shows_the_version_that_was_recorded_by_then(ann: UUID, teller: Client) -> None:
    at = recorded(ann, 3)

    just_then = teller.get(url(ann, at=at.isoformat()))
    just_before = teller.get(url(ann, at=(at - timedelta(microseconds=1)).isoformat()))

    assert told(just_then)["Ledger balance"][0] == "69.50"
    assert told(just_before)["Ledger balance"][0] == "100.00"
    assert just_then.context["form"]["at"].value() == f"{at:%Y-%m-%dT%H:%M:%S}", "as a browser's field wants it"


def test_a_moment_without_a_zone_is_in_utc(ann: UUID, teller: Client, bank: Bank) -> None:
    in_a_second = datetime.now(UTC).replace(microsecond=0)

    answer = teller.get(url(ann, at=f"{in_a_second:%Y-%m-%dT%H:%M:%S}"))

    assert ("rows" in answer.context) is (recorded(ann, 1) <= in_a_second)


def test_now_is_the_same_as_now(ann: UUID, teller: Client) -> None:
    answer = teller.get(url(ann, version=5))

    assert {difference for *_, difference in told(answer).values()} == {"the same"}
    assert "Nothing has happened since." in answer.content.decode()


def test_it_begins_with_a_snapshot_where_there_is_one(bank: Bank, teller: Client, ann: UUID) -> None:
    account = bank.open()
    for _ in range(120):
        bank.deposit(account, "1.00")
    catch_up(registered())

    late, early = teller.get(url(account, version=110)), teller.get(url(account, version=90))

    assert late.context["snapshot_version"] + late.context["events_read"] == 110
    assert late.context["snapshot_version"] > 0
    assert (early.context["snapshot_version"], early.context["events_read"]) == (0, 90)
    assert told(late)["Ledger balance"] == ["109.00", "120.00", "11.00"]


@pytest.mark.parametrize(
    ("query", "field", "sentence"),
    [
        ({"version": 6}, "version", "The account has the versions 1 to 5."),
        ({"version": 0}, "version", "Versions begin with 1."),
        ({"version": 10**19}, "version", "less than or equal to"),
        ({"version": "x"}, "version", "Write a version, such as 12."),
        ({"at": "yesterday"}, "at", "Write a day and time, such as 2026-01-31 14:30 (UTC)."),
        ({"at": "2999-01-01T00:00"}, "at", "The moment lies in the future."),
        ({"at": "1999-01-01T00:00"}, "at", "The account was opened after that moment."),
        ({"at": "2020-01-01", "version": 1}, "version", "Give the moment or the version, not both."),
    ],
)
def test_what_cannot_be_shown_is_told_at_its_field(
    ann: UUID, teller: Client, query: dict[str, object], field: str, sentence: str
) -> None:
    answer = teller.get(url(ann, **query))

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert sentence in answer.context["form"].errors[field][0]
    assert "rows" not in answer.context


def test_a_version_too_far_from_any_snapshot_is_not_folded_for_a_page(
    ann: UUID, teller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.explaining.MOST_EVENTS", 3)

    answer = teller.get(url(ann, version=4))

    assert "a page folds at most 3. Ask for a version up to 3." in answer.content.decode()


def test_nothing_is_asked_yet_and_the_page_says_what_to_do(ann: UUID, teller: Client) -> None:
    assert "Choose a moment or a version" in teller.get(url(ann)).content.decode()


@pytest.mark.parametrize("role", sorted(ROLES))
@pytest.mark.parametrize("page", ["as-of", "fold", "chain"])
def test_each_role_sees_the_pages_of_an_account_that_are_its_own(ann: UUID, role: str, page: str) -> None:
    client = signed_in(make_staff(role))
    path = f"/admin/accounts/account/{ann}/{page}/"
    allowed = page != "chain" or role in ("operator", "supervisor", "auditor")

    assert client.get(path).status_code == (200 if allowed else 403)
    assert (f'href="{path}"' in client.get(f"/admin/accounts/account/{ann}/change/").content.decode()) is allowed
    assert client.post(path).status_code in (403, 405)


@pytest.mark.parametrize("page", ["as-of", "fold", "chain"])
def test_an_account_that_is_not_there_is_not_found(supervisor: Client, page: str) -> None:
    assert supervisor.get(f"/admin/accounts/account/{UUID(int=1)}/{page}/").status_code == 404
