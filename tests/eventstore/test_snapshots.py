"""Snapshots shorten a load, and never change what it gives."""

import dataclasses
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection

from accounts.aggregate import ACCOUNT
from eventstore import registry, snapshots
from eventstore.errors import StreamNotFound
from eventstore.events import new_id
from eventstore.models import Event
from eventstore.projections.rebuild import rebuild
from eventstore.projections.runner import catch_up
from eventstore.projections.snapshots import Snapshots
from eventstore.store import load
from tests.bank import Bank


@pytest.fixture
def taker() -> Snapshots:
    projection = Snapshots()
    projection.every = 5
    return projection


def grown_account(bank: Bank, deposits: int = 12):  # type: ignore[no-untyped-def]
    account_id = bank.open()
    for _ in range(deposits):
        bank.deposit(account_id, "1.00")
    return account_id


def kept(account_id) -> list[int]:  # type: ignore[no-untyped-def]
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM snapshots WHERE aggregate_id = %s ORDER BY version", (account_id,))
        return [version for (version,) in cursor.fetchall()]


def test_a_load_reads_only_the_events_after_the_snapshot(bank: Bank, taker: Snapshots) -> None:
    ann = grown_account(bank)
    catch_up([taker])

    loaded = load(ann)
    assert kept(ann) == [10]
    assert (loaded.snapshot_version, loaded.events_read, loaded.version) == (10, 3, 13)
    assert loaded.state == load(ann, use_snapshots=False).state


def test_a_load_of_the_past_uses_no_snapshot_of_the_future(bank: Bank, taker: Snapshots) -> None:
    ann = grown_account(bank, 4)
    catch_up([taker])
    for _ in range(8):
        bank.deposit(ann, "1.00")
    catch_up([taker])

    assert kept(ann) == [5, 10]
    assert load(ann, upto_version=7).snapshot_version == 5
    assert load(ann, upto_version=7).state.balance == 600
    assert load(ann, upto_version=4).snapshot_version == 0
    moment = Event.objects.get(aggregate_id=ann, version=9).timestamp
    assert load(ann, as_of=moment).state.balance == 800


def test_before_it_was_opened_an_account_cannot_be_loaded(bank: Bank) -> None:
    before = datetime.now(UTC)
    ann = bank.open("1.00")
    for unknown in (lambda: load(ann, as_of=before), lambda: load(new_id())):
        with pytest.raises(StreamNotFound):
            unknown()


@pytest.mark.parametrize(
    "damage",
    [
        "state = jsonb_set(state, '{balance}', '999999')",
        "state = '{}'",
        "checksum = '\\x00'",
        "version = 11",
    ],
)
def test_a_damaged_snapshot_is_passed_over(
    bank: Bank, taker: Snapshots, sweeper: psycopg.Connection, damage: str
) -> None:
    ann = grown_account(bank)
    catch_up([taker])
    sweeper.execute(f"UPDATE snapshots SET {damage}")

    loaded = load(ann)
    assert loaded.snapshot_version == 0
    assert loaded.state.balance == 1200


def test_snapshots_survive_a_change_of_the_state_schema(
    bank: Bank, taker: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old ones are not used, new ones are taken beside them, and going back finds the old ones again."""
    ann = grown_account(bank)
    catch_up([taker])
    newer = dataclasses.replace(
        ACCOUNT,
        state_schema=2,
        dump=lambda state: {"all": ACCOUNT.dump(state)},
        load=lambda data: ACCOUNT.load(data["all"]),
    )
    monkeypatch.setitem(registry._aggregates, "account", newer)

    assert load(ann).snapshot_version == 0
    assert load(ann).state.balance == 1200
    for version in (11, 12, 13):
        state = load(ann, upto_version=version).state
        snapshots.save("account", snapshots.Snapshot(ann, version, 1, state))
    assert load(ann).snapshot_version == 13

    monkeypatch.setitem(registry._aggregates, "account", ACCOUNT)
    assert load(ann).snapshot_version == 10
    assert load(ann).state.balance == 1200


def test_pruning_keeps_the_newest(bank: Bank, taker: Snapshots) -> None:
    ann = grown_account(bank, 4)
    catch_up([taker])
    for _ in range(3):
        for _ in range(5):
            bank.deposit(ann, "1.00")
        catch_up([taker])
    assert kept(ann) == [5, 10, 15, 20]

    assert sum(snapshots.prune(keep=2)) == 2
    assert kept(ann) == [15, 20]


def test_of_an_older_schema_pruning_keeps_none_before_one_of_the_newer(
    bank: Bank, taker: Snapshots, sweeper: psycopg.Connection
) -> None:
    ann = grown_account(bank, 4)
    catch_up([taker])
    sweeper.execute(
        "INSERT INTO snapshots SELECT aggregate_id, state_schema - 1, version + 5, position, state, checksum"
        " FROM snapshots"
    )
    assert kept(ann) == [5, 10]

    assert sum(snapshots.prune(keep=1)) == 1
    assert kept(ann) == [5]


def test_pruning_goes_through_the_streams_step_by_step(bank: Bank, taker: Snapshots) -> None:
    accounts = sorted(grown_account(bank, 4) for _ in range(3))
    for _ in range(3):
        catch_up([taker])
        for account_id in accounts:
            for _ in range(5):
                bank.deposit(account_id, "1.00")
    catch_up([taker])
    assert [kept(account_id) for account_id in accounts] == [[5, 10, 15, 20]] * 3
    assert snapshots.superseded(keep=1, limit=100, streams=2) == 9
    assert snapshots.superseded(keep=1, limit=4, streams=2) == 4
    assert snapshots.superseded(keep=1, limit=5, streams=1) == 5

    steps = snapshots.prune(keep=1, streams=2, limit=4)

    assert next(steps) == 4
    assert kept(accounts[2]) == [5, 10, 15, 20], "the third is for another step"
    assert list(steps) == [2, 3]
    assert [kept(account_id) for account_id in accounts] == [[20]] * 3


def test_a_comparison_calls_no_snapshot_wrong_that_is_merely_another(
    bank: Bank, taker: Snapshots, sweeper: psycopg.Connection
) -> None:
    """The live ones were taken in other batches than those of the rebuild, and pruned since."""
    ann = grown_account(bank, 4)
    for _ in range(3):
        catch_up([taker])
        for _ in range(5):
            bank.deposit(ann, "1.00")
    catch_up([taker])
    assert sum(snapshots.prune(keep=2)) > 0
    assert kept(ann) == [15, 20]

    report = rebuild(taker, lambda done, total: None, dry_run=True)
    assert (report.rows, report.repaired) == (1, 0)

    sweeper.execute("UPDATE snapshots SET state = jsonb_set(state, '{balance}', '999999')")
    assert rebuild(taker, lambda done, total: None, dry_run=True).repaired == 1
    assert rebuild(taker, lambda done, total: None).repaired == 1
    assert (load(ann).snapshot_version, load(ann).state.balance) == (20, 1900)
