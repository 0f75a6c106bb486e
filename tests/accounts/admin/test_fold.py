"""Why a balance is as it is: the fold, step by step, from the snapshot that it begins with."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.test import Client

from accounts.models import Account
from eventstore import snapshots
from eventstore.models import Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank


def page(client: Client, account: UUID, query: str = "") -> Any:
    answer = client.get(f"/admin/accounts/account/{account}/fold/?{query}")
    assert answer.status_code == 200
    return answer


def cells(answer: Any, title: str) -> list[str]:
    return [
        str(getattr(cell, "plain", cell)) for row in answer.context["rows"] for c, cell in row if c.title == title
    ]


@pytest.fixture
def ann(bank: Bank) -> UUID:
    account = bank.open("100.00", owner="Ann")
    bank.withdraw(account, "30.50")
    bank.limit(account, "50.00")
    bank.freeze(account)
    return account


def test_each_step_says_what_it_changed_and_the_balance_after_it(ann: UUID, supervisor: Client) -> None:
    answer = page(supervisor, ann)

    assert cells(answer, "Version") == ["1", "2", "3", "4", "5"]
    assert cells(answer, "Amount") == ["–", "100.00", "-30.50", "–", "–"]
    assert cells(answer, "Balance after it") == ["0.00", "100.00", "69.50", "69.50", "69.50"]
    changes = [str(cell) for row in answer.context["rows"] for c, cell in row if c.title == "What it changed"]
    assert "Ledger balance" in changes[2]
    assert "100.00" in changes[2]
    assert "69.50" in changes[2]
    assert "Overdraft limit" in changes[3]
    assert "Frozen" in changes[4]
    assert answer.context["result"].plain == answer.context["told"].plain
    assert "The account's page says the same." in answer.content.decode().replace("&#x27;", "'")


def test_each_step_leads_to_its_event_and_its_transaction(ann: UUID, supervisor: Client, teller: Client) -> None:
    event = Event.objects.get(aggregate_id=ann, version=3)
    to_event = f'href="/admin/eventstore/event/{event.position}/change/"'
    to_transaction = f'href="/admin/accounts/transaction/of/{event.command_id}/"'

    assert to_event in page(supervisor, ann).content.decode()
    assert to_transaction in page(supervisor, ann).content.decode()
    assert to_event not in page(teller, ann).content.decode(), "a teller may not see events"
    assert to_transaction in page(teller, ann).content.decode()


def test_an_earlier_version_is_explained_alike(ann: UUID, supervisor: Client) -> None:
    answer = page(supervisor, ann, "version=2")

    assert cells(answer, "Version") == ["1", "2"]
    assert answer.context["result"].plain == answer.context["rows"][1][4][1].plain
    assert "agrees" in answer.context
    assert answer.context["agrees"], "the account's page speaks of another version"


@pytest.fixture
def long(bank: Bank) -> UUID:
    """260 events; snapshots as the bank took them."""
    account = bank.open()
    for _ in range(259):
        bank.deposit(account, "1.00")
    catch_up(registered())
    return account


def test_a_long_history_begins_with_the_newest_snapshot_and_goes_down_to_the_first_event(
    long: UUID, supervisor: Client
) -> None:
    explained: list[int] = []
    version, snapshots_used = 260, 0
    while version:
        answer = page(supervisor, long, f"version={version}")
        start, seen = answer.context["start"], cells(answer, "Version")
        while answer.context["older_url"]:
            answer = supervisor.get(answer.context["older_url"])
            seen += cells(answer, "Version")
        assert [int(number) for number in seen] == list(range(start + 1, version + 1))
        explained, version = [*map(int, seen), *explained], start
        snapshots_used += start > 0

    assert explained == list(range(1, 261))
    assert snapshots_used >= 1


def test_a_page_in_the_middle_has_the_balances_that_the_whole_fold_has(long: UUID, supervisor: Client) -> None:
    answer = page(supervisor, long, "from=start&after=137")

    assert cells(answer, "Version") == [str(number) for number in range(138, 188)]
    assert cells(answer, "Balance after it")[0] == "137.00"
    assert answer.context["start"] == 0
    back = supervisor.get(answer.context["newer_url"])
    assert cells(back, "Version") == [str(number) for number in range(88, 138)]


def test_a_read_model_that_is_wrong_is_told(ann: UUID, supervisor: Client) -> None:
    Account.objects.filter(pk=ann).update(balance=99999)

    answer = page(supervisor, ann)

    assert answer.context["agrees"] is False
    assert "999.99" in answer.content.decode()
    assert "the read model is wrong" in answer.content.decode()


def test_a_fold_that_breaks_is_shown_up_to_there(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("DELETE FROM snapshots")
    sweeper.execute(
        "UPDATE events SET data = jsonb_set(data, '{amount}', '-1') WHERE aggregate_id = %s AND version = 3", (ann,)
    )

    answer = page(supervisor, ann)

    assert cells(answer, "Version") == ["1", "2"]
    assert "Version 3 cannot be folded" in answer.context["broken"]
    assert "records a balance of 6950" in answer.context["broken"]


def test_an_event_that_is_missing_is_named(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("DELETE FROM events WHERE aggregate_id = %s AND version = 3", (ann,))

    answer = page(supervisor, ann)

    assert cells(answer, "Version") == ["1", "2"]
    assert "has no version 3" in answer.context["broken"]


def test_a_snapshot_that_fails_its_checksum_is_passed_over(
    long: UUID, supervisor: Client, sweeper: psycopg.Connection
) -> None:
    found = snapshots.find(long)
    assert found is not None
    assert page(supervisor, long).context["start"] == found.version
    sweeper.execute("UPDATE snapshots SET checksum = '\\x00' WHERE version = %s", (found.version,))

    answer = page(supervisor, long)

    assert answer.context["start"] < found.version


@pytest.mark.parametrize("query", ["version=x", "version=-1", "version=99", "after=99", f"after={10**30}", "from=x"])
def test_an_address_that_makes_no_sense_shows_the_account_as_it_is(ann: UUID, supervisor: Client, query: str) -> None:
    assert cells(page(supervisor, ann, query), "Version")[-1] == "5"
