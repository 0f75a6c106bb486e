"""`verify_ledger` finds whatever was done to the books behind the bank's back."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, LedgerProof
from accounts.projections.transactions import Transactions
from accounts.services import Executed
from accounts.tasks import verify_ledger
from accounts.verification import verify
from eventstore import projections
from eventstore.errors import StoreBusy
from eventstore.events import StoredEvent
from eventstore.models import ProjectionState
from eventstore.projections.rebuild import rebuild
from eventstore.projections.runner import catch_up
from eventstore.store import read_stream
from tests.bank import Bank
from tests.threads import together

EDITS = {
    "an amount": "UPDATE events SET data = jsonb_set(data, '{amount}', '1') WHERE event_type = 'Deposited'",
    "a reason": 'UPDATE events SET metadata = metadata || \'{"reason": "another"}\' WHERE version = 2',
    "an actor": "UPDATE events SET metadata = metadata - 'actor' WHERE version = 1",
    "a time": "UPDATE events SET timestamp = timestamp - interval '1 day' WHERE version = 1",
    "a type": "UPDATE events SET event_type = 'Withdrawn' WHERE event_type = 'Deposited'",
    "a command": "UPDATE events SET command_id = gen_random_uuid() WHERE version = 2",
    "an event in the middle is gone": "DELETE FROM events WHERE version = 2",
    "a tail is gone": (
        "DELETE FROM events e USING streams s WHERE s.aggregate_id = e.aggregate_id AND s.version = e.version"
    ),
    "a beginning is gone": "DELETE FROM events WHERE version = 1",
    "a whole stream is gone": (
        "DELETE FROM events WHERE aggregate_id = (SELECT min(aggregate_id::text)::uuid FROM streams)"
    ),
    "two events change places": (
        "UPDATE events SET version = CASE version WHEN 2 THEN 1001 ELSE 1002 END WHERE version IN (1, 2)"
    ),
    "an event is added": (
        "INSERT INTO events SELECT 1000000, aggregate_id, aggregate_type, version + 1, event_id, event_type, "
        "schema_version, command_id, data, metadata, timestamp, hash FROM events ORDER BY version DESC LIMIT 1"
    ),
    "a head": "UPDATE streams SET version = version + 1",
    "a head's hash": "UPDATE streams SET head_hash = sha256('x')",
    "a stream without events": "INSERT INTO streams VALUES (gen_random_uuid(), 'account', 1, sha256('x'), now())",
    "a balance": "UPDATE accounts SET balance = balance + 1",
    "a status": "UPDATE accounts SET status = 'closed' WHERE status = 'open'",
    "an owner": "UPDATE accounts SET owner = 'Mallory'",
    "an account is gone": "DELETE FROM accounts",
    "an account is invented": (
        "INSERT INTO accounts SELECT gen_random_uuid(), owner, currency, product, custodian, overdraft_limit, "
        "status, balance, held, version, opened_at, updated_at FROM accounts LIMIT 1"
    ),
    "a reversal is gone": "DELETE FROM reversals",
    "a reversal is invented": "INSERT INTO reversals VALUES (gen_random_uuid(), gen_random_uuid())",
    "a transaction": "UPDATE transactions SET description = 'rent'",
    "a transaction is gone": "DELETE FROM transactions WHERE position = (SELECT max(position) FROM transactions)",
    "a transaction is invented": (
        "INSERT INTO transactions SELECT 999999, account_id, 99, transaction_id, kind, amount, currency, balance, "
        "contra, description, value_date, recorded_at, reverses FROM transactions LIMIT 1"
    ),
    "a journal line": "UPDATE journal_lines SET amount = amount + 1 WHERE id = (SELECT min(id) FROM journal_lines)",
    "a journal line is gone": "DELETE FROM journal_lines WHERE id = (SELECT max(id) FROM journal_lines)",
    "a day": "UPDATE daily_balances SET closing_balance = 0",
    "a day is gone": "DELETE FROM daily_balances",
    "a day is invented": (
        "INSERT INTO daily_balances (account_id, day, currency, closing_balance, credits, debits, postings, version) "
        "SELECT account_id, '2001-01-01', currency, 0, 0, 0, 0, 1 FROM daily_balances LIMIT 1"
    ),
    "a ledger account's day": "UPDATE ledger_days SET credits = credits + 1 WHERE ledger_account = 'cash:EUR'",
    "a ledger account's day is gone": "DELETE FROM ledger_days WHERE ledger_account = 'customers'",
    "a ledger account's day is invented": (
        "INSERT INTO ledger_days (day, currency, ledger_account, credits, debits, lines) "
        "VALUES ('2001-01-01', 'EUR', 'cash:EUR', 1, 0, 1)"
    ),
}


@pytest.fixture
def history(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open("3.00", overdraft="5.00")
    bank.transfer(ann, bob, "10.00")
    bank.reverse(bank.withdraw(bob, "2.00").transaction_id)
    bank.freeze(ann)
    catch_up(projections.registered())


@pytest.mark.usefixtures("history")
def test_sound_books_are_said_to_agree_and_leave_a_proof(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_ledger")
    assert "The books agree: 9 events in 2 streams" in capsys.readouterr().out
    proof = LedgerProof.objects.get()
    assert (proof.events, proof.streams, proof.differences) == (9, 2, 0)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("edit", EDITS)
def test_found(edit: str, sweeper: psycopg.Connection) -> None:
    changed = sweeper.execute(EDITS[edit])
    if edit == "two events change places":
        sweeper.execute("UPDATE events SET version = version - 1000 WHERE version > 1000")
    assert changed.rowcount > 0

    with pytest.raises(CommandError, match="The books do NOT agree"):
        call_command("verify_ledger")

    assert LedgerProof.objects.get().differences > 0


def test_read_models_that_are_merely_behind_are_no_difference(bank: Bank) -> None:
    ann = bank.open("100.00")
    catch_up(projections.registered())
    bank.withdraw(ann, "1.00")
    call_command("verify_ledger")


def test_empty_books_agree(db: None) -> None:
    call_command("verify_ledger")


def outcome(action: Callable[[], object]) -> object:
    """What an action of somebody else led to, or its error."""

    def attempt() -> object:
        try:
            return action()
        except Exception as error:
            return error

    return together([attempt])[0]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("how", ["--dry-run", "--undo", None])
def test_no_tables_are_replaced_while_the_books_are_proved(how: str | None) -> None:
    call_command("rebuild_projection", "transactions")
    tried: list[object] = []

    def progress(done: int, total: int) -> None:
        if not tried:
            arguments = ["transactions", *([how] if how else [])]
            tried.append(outcome(lambda: call_command("rebuild_projection", *arguments)))

    found = verify(progress)

    assert "the books are being proved: wait for that" in str(tried[0])
    assert found.differences == 0, found.first_differences
    assert ProjectionState.objects.get(name="transactions").active_generation == 2
    call_command("rebuild_projection", "transactions")


@pytest.mark.usefixtures("history")
def test_the_books_are_not_proved_while_a_read_model_is_rebuilt() -> None:
    tried: list[object] = []

    def progress(done: int, total: int) -> None:
        if not tried:
            tried.extend([outcome(lambda: call_command("verify_ledger")), outcome(verify_ledger)])

    report = rebuild(Transactions(), progress)

    assert str(tried[0]) == (
        "Nothing was verified: projection transactions is being rebuilt or compared: wait for that"
    )
    assert isinstance(tried[1], StoreBusy)
    assert not LedgerProof.objects.exists()
    assert report.swapped
    call_command("verify_ledger")


@pytest.mark.usefixtures("history")
def test_two_may_prove_the_books_at_once() -> None:
    others: list[object] = []
    verify(lambda done, total: others.append(outcome(verify)) if not others else None)
    assert list(LedgerProof.objects.values_list("differences", flat=True)) == [0, 0]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("how", ["--dry-run", None])
def test_commands_do_not_wait_while_the_histories_of_accounts_are_read(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, how: str | None
) -> None:
    ann, bob = Account.objects.order_by("id").values_list("id", flat=True)
    bank.unfreeze(ann)
    sweeper.execute("UPDATE accounts SET owner = 'Mallory' WHERE id = %s", (bob,))
    meanwhile: list[object] = []

    def reading(*args: Any, **options: Any) -> Iterator[StoredEvent]:
        if not meanwhile:
            meanwhile.append(outcome(lambda: bank.transfer(ann, bob, "4.00")))
        return read_stream(*args, **options)

    monkeypatch.setattr("accounts.projections.accounts.read_stream", reading)

    call_command("rebuild_projection", "accounts", *([how] if how else []))

    assert isinstance(meanwhile[0], Executed), "the transfer had to wait for the rebuild"
    assert Account.objects.get(id=bob).owner == ("Mallory" if how else "Ann")
    if not how:
        catch_up(projections.registered())
        call_command("verify_ledger")


@pytest.mark.usefixtures("history")
def test_a_damaged_inline_read_model_is_mended_by_a_rebuild(bank: Bank, sweeper: psycopg.Connection) -> None:
    before = bank.footprint()
    sweeper.execute("UPDATE accounts SET balance = 7, owner = 'Mallory', opened_at = now()")
    sweeper.execute("DELETE FROM reversals")
    sweeper.execute("INSERT INTO reversals VALUES (gen_random_uuid(), gen_random_uuid())")

    call_command("rebuild_projection", "accounts")

    assert bank.footprint() == before
    call_command("verify_ledger")


@pytest.mark.parametrize("is_last", [False, True])
def test_of_a_broken_stream_nothing_else_is_told(bank: Bank, sweeper: psycopg.Connection, is_last: bool) -> None:
    broken, sound = bank.open("100.00"), bank.open("100.00")
    bank.hold(broken, "1.00")
    bank.hold(sound, "1.00")
    bank.reverse(bank.withdraw(broken, "2.00").transaction_id)
    catch_up(projections.registered())
    version = Account.objects.get(id=broken).version if is_last else 1
    changed = "UPDATE events SET metadata = metadata - 'actor' WHERE (aggregate_id, version) = (%s, %s)"
    sweeper.execute(changed, (broken, version))
    sweeper.execute("UPDATE daily_balances SET postings = 9 WHERE account_id = %s", (sound,))

    found = verify()

    assert found.first_differences[0] == f"stream {broken} version {version}: its hash does not fit its content"
    assert found.first_differences[1].startswith(f"daily_balances: account {sound} on ")
    assert found.differences == 2
