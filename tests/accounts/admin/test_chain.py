"""The proof of an account: links recomputed one by one, and a break shown exactly where it is."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.test import Client
from msgspec import structs

from accounts.models import Account, Hold
from eventstore import snapshots
from eventstore.models import Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank


def proof(client: Client, account: UUID, query: str = "") -> Any:
    answer = client.get(f"/admin/accounts/account/{account}/chain/?{query}")
    assert answer.status_code == 200
    return answer


def verdicts(answer: Any) -> dict[int, str]:
    """Version to what is said of its link."""
    rows = [{column.title: getattr(cell, "plain", cell) for column, cell in row} for row in answer.context["rows"]]
    return {row["Version"]: row["Link"] for row in rows}


def agrees(answer: Any) -> list[bool]:
    """The head of the stream, the account's row."""
    return [group["agrees"] for group in answer.context["agreements"]]


@pytest.fixture
def ann(bank: Bank) -> UUID:
    """Six versions."""
    account = bank.open("100.00", owner="Ann")
    for _ in range(4):
        bank.withdraw(account, "1.00")
    return account


def test_every_link_is_shown_with_both_hashes_and_holds(ann: UUID, supervisor: Client) -> None:
    answer = proof(supervisor, ann)

    assert verdicts(answer) == dict.fromkeys(range(1, 7), "Holds")
    assert agrees(answer) == [True, True]
    for event in Event.objects.filter(aggregate_id=ann):
        assert answer.content.decode().count(bytes(event.hash).hex()) == 2, "stored and recomputed"


def test_checking_all_says_that_all_hold(ann: UUID, supervisor: Client) -> None:
    assert "All 6 links hold" in proof(supervisor, ann, "all=1").content.decode()


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("data = jsonb_set(data, '{description}', '\"bribe\"')", [3]),
        ("metadata = jsonb_set(metadata, '{actor}', '\"staff:somebody-else\"')", [3]),
        ("timestamp = timestamp - interval '1 day'", [3]),
        ("hash = sha256('x')", [3, 4]),
    ],
    ids=["content", "author", "time", "stored hash"],
)
def test_an_altered_event_breaks_the_chain_exactly_there(
    ann: UUID, supervisor: Client, sweeper: psycopg.Connection, change: str, broken: list[int]
) -> None:
    sweeper.execute(f"UPDATE events SET {change} WHERE aggregate_id = %s AND version = 3", (ann,))  # type: ignore[arg-type]

    answer, checked = proof(supervisor, ann), proof(supervisor, ann, "all=1")

    assert [version for version, verdict in verdicts(answer).items() if verdict == "Broken"] == broken
    assert answer.context["troubles"][0].startswith("Version 3: the stored hash does not fit")
    told = checked.context["whole"]["troubles"]
    assert [sentence.split(":")[0] for sentence, _ in told] == [f"Version {version}" for version in broken]
    assert "The chain is broken" in checked.content.decode()
    assert 3 in verdicts(supervisor.get(told[0][1])), "each leads to the page where it is"


def test_a_removed_event_is_named(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("DELETE FROM events WHERE aggregate_id = %s AND version = 3", (ann,))

    answer = proof(supervisor, ann)

    assert answer.context["troubles"] == ["Version 3 is missing before version 4."]


def test_a_tail_that_was_cut_off_shows_at_the_head(
    ann: UUID, supervisor: Client, sweeper: psycopg.Connection
) -> None:
    """The links that are left hold: only the head knows that there were more."""
    sweeper.execute("DELETE FROM events WHERE aggregate_id = %s AND version = 6", (ann,))

    answer = proof(supervisor, ann, "all=1")

    assert set(verdicts(answer).values()) == {"Holds"}
    assert agrees(answer) == [False, False]
    assert "knows of 1 event after version 5" in answer.content.decode()
    assert "links hold" not in answer.content.decode()


def test_a_head_that_was_altered_does_not_agree(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE streams SET head_hash = sha256('x') WHERE aggregate_id = %s", (ann,))

    answer = proof(supervisor, ann)

    assert agrees(answer) == [False, True]
    (row,) = answer.context["agreements"][0]["rows"]
    assert str(row[0][1]) == "Hash of the head"


def test_a_read_model_that_is_wrong_is_shown_field_by_field(ann: UUID, supervisor: Client) -> None:
    Account.objects.filter(pk=ann).update(balance=99999)

    answer = proof(supervisor, ann)

    assert agrees(answer) == [True, False]
    (row,) = answer.context["agreements"][1]["rows"]
    assert [str(getattr(cell, "plain", cell)) for _, cell in row] == ["Ledger balance", "999.99", "96.00"]


def test_a_snapshot_that_lies_is_found_by_checking_all(
    bank: Bank, supervisor: Client, sweeper: psycopg.Connection
) -> None:
    """Its checksum is right, its state is not: only the fold from the first event on can tell."""
    account = bank.open()
    for _ in range(110):
        bank.deposit(account, "1.00")
    catch_up(registered())
    true = snapshots.find(account)
    assert true is not None
    sweeper.execute("DELETE FROM snapshots")
    snapshots.save("account", replace(true, state=structs.replace(true.state, owner="Somebody else")))

    assert agrees(proof(supervisor, account)) == [True, False]
    assert agrees(proof(supervisor, account, "all=1")) == [True, True], "the row is right, the snapshot is not"


def test_checking_all_compares_the_holds_too(
    ann: UUID, bank: Bank, supervisor: Client, sweeper: psycopg.Connection
) -> None:
    changed, lost, _ = (bank.hold(ann, "2.50") for _ in range(3))
    assert "Its holds" not in proof(supervisor, ann, "all=1").content.decode()
    Hold.objects.filter(pk=changed).update(amount=99999)
    sweeper.execute("DELETE FROM holds WHERE id = %s", (lost,))
    before = bank.footprint()

    answer = proof(supervisor, ann, "all=1")

    assert agrees(answer) == [True, True, False]
    told = [[str(getattr(cell, "plain", cell)) for _, cell in row] for row in answer.context["agreements"][2]["rows"]]
    assert told == [[f"Amount of hold {changed}", "999.99", "2.50"], [f"Row of hold {lost}", "missing", "one"]]
    assert "Its holds as pages and the API show them" in answer.content.decode()
    assert bank.footprint() == before


def test_only_so_many_wrong_holds_are_on_the_page(ann: UUID, bank: Bank, supervisor: Client) -> None:
    for _ in range(21):
        bank.hold(ann, "1.00")
    Hold.objects.update(contra="cash:EUR")

    group = proof(supervisor, ann, "all=1").context["agreements"][2]

    assert group["title"].endswith("the first 20 of 21 values")
    assert len(group["rows"]) == 20


def test_events_that_cannot_be_folded_are_told(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("DELETE FROM snapshots")
    sweeper.execute("UPDATE events SET event_type = 'Nonsense' WHERE aggregate_id = %s AND version = 3", (ann,))

    answer = proof(supervisor, ann)

    assert "its events cannot be folded" in answer.content.decode()
    assert verdicts(answer)[3] == "Broken"


def test_a_long_chain_is_read_page_by_page_each_link_from_the_one_before(bank: Bank, supervisor: Client) -> None:
    account = bank.open()
    for _ in range(44):
        bank.deposit(account, "1.00")

    seen: dict[int, str] = {}
    url: str | None = f"/admin/accounts/account/{account}/chain/?after=0"
    while url:
        answer: Any = supervisor.get(url)
        seen |= verdicts(answer)
        url = answer.context["older_url"]

    assert seen == dict.fromkeys(range(1, 46), "Holds")
    assert max(verdicts(proof(supervisor, account))) == 45, "the page begins with the newest links"


def test_a_chain_too_long_for_a_page_says_how_far_it_looked(
    ann: UUID, supervisor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.chain.MOST_LINKS", 4)

    answer = proof(supervisor, ann, "all=1")

    assert "The first 4 links hold. A page checks no more" in answer.content.decode()
