"""`replay_events` mends what the read models hold of one stream, and touches nothing else."""

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, DailyBalance, JournalLine, Transaction
from eventstore import projections
from eventstore.events import new_id
from eventstore.models import Event
from eventstore.projections.runner import catch_up
from tests.bank import Bank
from tests.locks import at_work_with, impatient

TABLES = {
    "transactions": "UPDATE transactions SET amount = 1, description = 'wrong'",
    "journal_lines": "DELETE FROM journal_lines",
    "daily_balances": "UPDATE daily_balances SET credits = 0, postings = 99",
    "accounts": "UPDATE accounts SET balance = 12345",
}


def read_models() -> list[object]:
    return [
        list(model.objects.order_by(key).values(*fields))
        for model, key, fields in (
            (Transaction, "position", ()),
            (JournalLine, "id", ()),
            (DailyBalance, "account_id", ("account_id", "day", "closing_balance", "credits", "debits", "postings")),
            (Account, "id", ()),
        )
    ]


@pytest.fixture
def accounts(bank: Bank) -> list:
    ann, bob = bank.open("100.00"), bank.open("50.00")
    for _ in range(5):
        bank.transfer(ann, bob, "1.00")
    catch_up(projections.registered())
    return [ann, bob]


@pytest.mark.parametrize("table", TABLES)
def test_damage_to_one_account_is_mended(accounts: list, sweeper: psycopg.Connection, table: str) -> None:
    before, events = read_models(), Event.objects.count()
    sweeper.execute(TABLES[table])

    for account_id in accounts:
        call_command("replay_events", "--aggregate", str(account_id), "--from-version", "1")

    assert read_models() == before
    assert Event.objects.count() == events
    call_command("verify_ledger")


def test_a_dry_run_tells_what_is_wrong_and_changes_nothing(
    accounts: list, sweeper: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeper.execute(TABLES["transactions"])
    damaged = read_models()

    call_command("replay_events", "--aggregate", str(accounts[0]), "--dry-run")

    assert read_models() == damaged
    out = capsys.readouterr().out
    assert "6 rows are wrong" in out
    assert "dry run" in out


def test_replaying_from_a_later_version_leaves_the_earlier_rows_alone(
    accounts: list, sweeper: psycopg.Connection
) -> None:
    sweeper.execute("UPDATE transactions SET description = 'wrong' WHERE account_id = %s", (accounts[0],))
    call_command("replay_events", "--aggregate", str(accounts[0]), "--from-version", "4")
    wrong = Transaction.objects.filter(account_id=accounts[0], description="wrong").values_list("version", flat=True)
    assert sorted(wrong) == [2, 3]


def test_read_models_that_are_behind_are_not_pulled_ahead(bank: Bank, accounts: list) -> None:
    bank.deposit(accounts[0], "5.00")
    call_command("replay_events", "--aggregate", str(accounts[0]))
    assert not Transaction.objects.filter(amount=500).exists()
    catch_up(projections.registered())
    call_command("verify_ledger")


@pytest.mark.parametrize("version", ["0", "8", "-1"])
def test_a_version_that_is_not_there_is_refused(accounts: list, version: str) -> None:
    with pytest.raises(CommandError, match=f"There is no version {version}"):
        call_command("replay_events", "--aggregate", str(accounts[0]), f"--from-version={version}")


def test_a_stream_that_is_not_there_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("replay_events", "--aggregate", str(new_id()))


def test_it_says_in_words_that_others_work_with_a_read_model(accounts: list, sweeper: psycopg.Connection) -> None:
    before = read_models()
    told = "read model transactions is in use.*before it by name are done"
    with at_work_with("transactions", sweeper), impatient(), pytest.raises(CommandError, match=told):
        call_command("replay_events", "--aggregate", str(accounts[0]), "--from-version", "1")
    assert read_models() == before
