"""`recover_from_snapshot` loads a stream from its snapshot, proves it, and mends the account."""

import psycopg
import pytest
from django.core.management import CommandError, call_command
from msgspec.structs import replace

from accounts.models import Account
from eventstore import snapshots
from eventstore.events import new_id
from eventstore.projections.runner import catch_up
from eventstore.projections.snapshots import Snapshots
from eventstore.recovery import recover
from eventstore.store import load
from tests.bank import Bank


@pytest.fixture
def account(bank: Bank):  # type: ignore[no-untyped-def]
    account_id = bank.open("100.00")
    for _ in range(10):
        bank.withdraw(account_id, "1.00")
    taker = Snapshots()
    taker.every = 5
    catch_up([taker])
    return account_id


def test_a_damaged_account_is_mended_from_the_snapshot(account, sweeper: psycopg.Connection, capsys) -> None:  # type: ignore[no-untyped-def]
    sweeper.execute("UPDATE accounts SET balance = 1, status = 'closed'")
    call_command("recover_from_snapshot", "--aggregate", str(account), "--dry-run")
    assert Account.objects.get().balance == 1

    call_command("recover_from_snapshot", "--aggregate", str(account))

    assert "the snapshot at version 10 and 2 events after it: version 12" in capsys.readouterr().out
    assert (Account.objects.get().balance, Account.objects.get().status) == (9000, "open")
    call_command("verify_ledger")


def test_a_snapshot_that_lies_with_a_right_checksum_is_found_and_removed(account, sweeper, capsys) -> None:  # type: ignore[no-untyped-def]
    sweeper.execute("DELETE FROM snapshots")
    state = load(account, upto_version=10).state
    snapshots.save("account", snapshots.Snapshot(account, 12, 1, replace(state, balance=5, version=12)))

    call_command("recover_from_snapshot", "--aggregate", str(account))

    assert "1 snapshots did not agree" in capsys.readouterr().out
    assert load(account).state.balance == 9000


def test_a_dry_run_says_how_many_snapshots_are_wrong_and_leaves_them(account, sweeper, capsys) -> None:  # type: ignore[no-untyped-def]
    sweeper.execute("DELETE FROM snapshots")
    state = replace(load(account, upto_version=10).state, balance=5, version=12)
    snapshots.save("account", snapshots.Snapshot(account, 12, 1, state))

    call_command("recover_from_snapshot", "--aggregate", str(account), "--dry-run")

    assert "1 snapshots" in capsys.readouterr().out
    assert load(account).state.balance == 5


def test_what_is_appended_meanwhile_makes_no_snapshot_wrong(account, bank: Bank) -> None:  # type: ignore[no-untyped-def]
    def meanwhile(done: int, _: int) -> None:
        if done == 1:
            bank.withdraw(account, "1.00")

    found = recover(account, dry_run=False, progress=meanwhile)

    assert (found.bad_snapshots, found.snapshot_version, found.version) == (0, 10, 12)
    assert load(account).snapshot_version == 10


def test_without_a_snapshot_it_folds_and_says_so(account, sweeper, capsys) -> None:  # type: ignore[no-untyped-def]
    sweeper.execute("DELETE FROM snapshots")
    call_command("recover_from_snapshot", "--aggregate", str(account))
    assert "There is no usable snapshot" in capsys.readouterr().out


def test_an_unknown_stream_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("recover_from_snapshot", "--aggregate", str(new_id()))
