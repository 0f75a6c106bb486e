"""A rebuild without downtime: beside the active tables, compared, swapped, and undone."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account, Reversal, Transaction
from accounts.projections import accounts as inline
from accounts.projections.accounts import AccountsInline
from accounts.projections.journal import Journal
from accounts.projections.transactions import Transactions
from eventstore import projections
from eventstore.errors import StoreBusy
from eventstore.models import ProjectionState
from eventstore.projections import orphans
from eventstore.projections import rebuild as rebuilding
from eventstore.projections.rebuild import NothingToUndo, rebuild, undo
from eventstore.projections.runner import Runner, catch_up
from ops.database.locks import session_lock
from tests.bank import Bank
from tests.locks import at_work_with, impatient
from tests.statements import counted
from tests.threads import together

QUIET = lambda done, total: None  # noqa: E731


def history(bank: Bank, transfers: int = 20) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    for _ in range(transfers):
        bank.transfer(ann, bob, "1.00")
    catch_up(projections.registered())


def indexes(sweeper: psycopg.Connection, table: str) -> list[tuple[str, str]]:
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = %s ORDER BY 1"
    return sweeper.execute(query, (table,)).fetchall()  # type: ignore[return-value]


def generation(name: str) -> int:
    return ProjectionState.objects.get(name=name).active_generation


def test_the_report_tells_how_many_rows_were_wrong(bank: Bank, sweeper: psycopg.Connection) -> None:
    history(bank)
    sweeper.execute(
        "UPDATE transactions SET amount = 0 WHERE position IN (SELECT position FROM transactions LIMIT 3)"
    )
    sweeper.execute("DELETE FROM transactions WHERE position = (SELECT max(position) FROM transactions)")

    report = rebuild(Transactions(), QUIET)

    assert (report.rows, report.repaired, report.swapped) == (41, 4, True)
    call_command("verify_ledger")


def test_a_dry_run_compares_and_changes_nothing(bank: Bank, sweeper: psycopg.Connection) -> None:
    history(bank)
    sweeper.execute("UPDATE transactions SET amount = 0")
    before = list(Transaction.objects.order_by("position").values())

    report = rebuild(Transactions(), QUIET, dry_run=True)

    assert (report.repaired, report.swapped) == (41, False)
    assert list(Transaction.objects.order_by("position").values()) == before
    assert generation("transactions") == 1
    assert sweeper.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'shadow'").fetchone() == (0,)


def test_the_swapped_in_tables_have_the_same_indexes_under_the_same_names(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    history(bank)
    for projection in projections.registered():
        if projection.has_side_effects:
            continue
        before = {table: indexes(sweeper, table) for table in projection.tables}
        rebuild(projection, QUIET)
        assert {table: indexes(sweeper, table) for table in projection.tables} == before


def test_the_application_may_do_to_the_swapped_in_tables_what_it_could_to_those_before(bank: Bank) -> None:
    may = "SELECT has_table_privilege('transactions', p) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p"
    history(bank)
    rebuild(Transactions(), QUIET)
    with connection.cursor() as cursor:
        cursor.execute(may)
        assert cursor.fetchall() == [(True,)] * 4


def test_it_can_be_undone_and_the_old_tables_catch_up(bank: Bank, sweeper: psycopg.Connection) -> None:
    history(bank)
    sweeper.execute("UPDATE transactions SET description = 'of the old tables'")
    rebuild(Transactions(), QUIET)
    bank.deposit(bank.open(), "7.00")
    catch_up([Transactions()])
    assert not Transaction.objects.filter(description="of the old tables").exists()

    undo(Transactions())
    catch_up([Transactions()])

    assert Transaction.objects.filter(description="of the old tables").count() == 41
    assert Transaction.objects.count() == 42
    assert generation("transactions") == 1
    with pytest.raises(NothingToUndo):
        undo(Transactions())


def test_many_rebuilds_in_a_row_keep_one_previous_generation(bank: Bank, sweeper: psycopg.Connection) -> None:
    history(bank)
    for _ in range(4):
        rebuild(Journal(), QUIET)
    assert generation("journal") == 5
    generations = sweeper.execute(
        "SELECT DISTINCT generation FROM projection_checkpoints WHERE projection = 'journal' ORDER BY 1"
    ).fetchall()
    assert generations == [(4,), (5,)]
    undo(Journal())
    call_command("verify_ledger")


def test_the_bank_works_and_reads_never_see_half_a_table_while_it_is_rebuilt(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(bank, 100)
    ann = bank.open("500.00")
    catch_up(projections.registered())
    monkeypatch.setattr(rebuilding, "CLOSE_ENOUGH", 20)
    stop = threading.Event()
    fewest: list[int] = []

    def follow() -> None:
        runner = Runner(Transactions(), batch_size=7)
        while not stop.is_set():
            runner.step()

    def read() -> None:
        while not stop.is_set():
            fewest.append(Transaction.objects.count())

    def work() -> None:
        for _ in range(60):
            bank.withdraw(ann, "1.00")

    def rebuild_twice() -> None:
        try:
            for _ in range(2):
                rebuild(Transactions(), QUIET)
        finally:
            stop.set()

    actions: list[Callable[[], None]] = [follow, read, work, rebuild_twice]
    together(actions)
    catch_up(projections.registered())

    assert min(fewest) >= 202, "a reader saw a table that was being filled"
    assert Transaction.objects.count() == 202 + 60
    call_command("verify_ledger")


def test_one_rebuild_at_a_time(bank: Bank) -> None:
    history(bank)

    def attempt() -> None:
        rebuild(Transactions(), QUIET)

    with session_lock("rebuild:transactions") as held:
        assert held
        [outcome] = together([lambda: _error_of(attempt)])
    assert isinstance(outcome, StoreBusy)


def _error_of(action: Callable[[], None]) -> Exception | None:
    try:
        action()
    except Exception as error:
        return error
    return None


def test_a_rebuild_that_fails_leaves_the_active_tables_alone(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    history(bank)
    before = list(Transaction.objects.order_by("position").values())

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "_compare", fail)
        with pytest.raises(KeyboardInterrupt):
            rebuild(Transactions(), QUIET)

    assert list(Transaction.objects.order_by("position").values()) == before
    assert generation("transactions") == 1
    rebuild(Transactions(), QUIET)


def test_a_reader_of_the_old_tables_is_waited_for(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(bank)
    monkeypatch.setattr(rebuilding, "SWAP_AGAIN_IN", 0.05)
    before = generation("transactions")
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as backup:
        backup.execute("SELECT FROM transactions")
        threading.Timer(1.0, backup.rollback).start()
        with impatient():
            report = rebuild(Transactions(), QUIET)

    assert report.swapped
    assert generation("transactions") == before + 1
    call_command("verify_ledger")


def test_old_tables_that_are_read_all_the_while_stay_and_the_new_ones_are_thrown_away(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(bank)
    monkeypatch.setattr(rebuilding, "SWAP_AGAIN_IN", 0.05)
    monkeypatch.setattr(rebuilding, "SWAP_ATTEMPTS", 3)
    before = generation("transactions"), list(Transaction.objects.order_by("position").values())
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as backup:
        backup.execute("SELECT FROM transactions")
        with impatient(), pytest.raises(StoreBusy, match="were being read all the while"):
            rebuild(Transactions(), QUIET)

    assert (generation("transactions"), list(Transaction.objects.order_by("position").values())) == before
    assert sweeper.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'shadow'").fetchone() == (0,)
    assert rebuild(Transactions(), QUIET).swapped


def test_a_rebuild_waits_for_whoever_applies_events(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(bank)
    monkeypatch.setattr(rebuilding, "SWAP_AGAIN_IN", 0.05)
    before = generation("transactions")
    with at_work_with("transactions", sweeper) as other:
        threading.Timer(1.0, other.rollback).start()
        with impatient():
            assert rebuild(Transactions(), QUIET).swapped
    assert generation("transactions") == before + 1


def test_who_waits_in_vain_for_others_is_told_in_words_and_nothing_was_changed(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(bank)
    rebuild(Transactions(), QUIET)
    monkeypatch.setattr(rebuilding, "SWAP_AGAIN_IN", 0.05)
    monkeypatch.setattr(rebuilding, "SWAP_ATTEMPTS", 3)
    before = generation("transactions"), list(Transaction.objects.order_by("position").values())
    with at_work_with("transactions", sweeper), impatient():
        for arguments in ((), ("--dry-run",), ("--undo",)):
            with pytest.raises(
                CommandError, match=r"Nothing was changed: read model transactions is in use.*try again"
            ):
                call_command("rebuild_projection", "transactions", *arguments)

    assert (generation("transactions"), list(Transaction.objects.order_by("position").values())) == before
    assert sweeper.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'shadow'").fetchone() == (0,)
    undo(Transactions())


def test_accounts_that_were_mended_stay_so_where_a_later_one_is_held_and_it_is_told_so(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "BATCH", 1)
    ann, bob = sorted((bank.open("1.00"), bank.open("1.00")))
    sweeper.execute("UPDATE accounts SET balance = 777")
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as teller, impatient():
        teller.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (bob,))
        call_command("rebuild_projection", "accounts", "--dry-run")  # which waits for nobody
        assert set(Account.objects.values_list("balance", flat=True)) == {777}
        with pytest.raises(CommandError, match="It was not finished: rows of accounts that were mended stay so"):
            call_command("rebuild_projection", "accounts")
        teller.rollback()

    assert dict(Account.objects.values_list("id", "balance")) == {ann: 100, bob: 777}
    call_command("rebuild_projection", "accounts")
    assert set(Account.objects.values_list("balance", flat=True)) == {100}


def test_a_dry_run_of_accounts_keeps_no_command_waiting(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = bank.open("5.00"), bank.open()
    bank.reverse(bank.transfer(ann, bob, "1.00").transaction_id)
    sweeper.execute("UPDATE accounts SET balance = 777 WHERE id = %s", (bob,))
    sweeper.execute("DELETE FROM reversals")
    before = list(Account.objects.order_by("id").values())
    mend, deposited = inline._mend_rows, []

    def meanwhile(*args: Any) -> int:
        if not deposited:  # in the midst of the comparison
            deposited.append(together([lambda: bank.deposit(ann, "1.00")]))
            before[:] = list(sweeper.execute("SELECT balance FROM accounts ORDER BY id"))
        return mend(*args)

    monkeypatch.setattr(inline, "_mend_rows", meanwhile)
    report = AccountsInline().rebuild(QUIET, dry_run=True)

    assert (report.repaired, report.swapped) == (2, False), "and what comes meanwhile is no difference"
    assert list(sweeper.execute("SELECT balance FROM accounts ORDER BY id")) == before
    assert not Reversal.objects.exists()


def test_accounts_without_events_are_removed_some_at_a_time(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.open("1.00")
    before = list(Account.objects.values())
    for _ in range(5):
        sweeper.execute(
            "INSERT INTO accounts SELECT gen_random_uuid(), owner, currency, product, custodian, overdraft_limit,"
            " status, balance, held, version, opened_at, updated_at FROM accounts LIMIT 1"
        )
    monkeypatch.setattr(orphans, "WINDOW", 2)
    deletions = counted(monkeypatch, about="DELETE FROM accounts")

    assert AccountsInline().rebuild(QUIET, dry_run=True).repaired == 5
    assert (deletions(), Account.objects.count()) == (0, 6)
    assert AccountsInline().rebuild(QUIET).repaired == 5

    assert deletions() >= 3
    assert list(Account.objects.values()) == before


def test_a_rebuild_after_an_undo_begins_at_the_first_event(bank: Bank, sweeper: psycopg.Connection) -> None:
    history(bank)
    rebuild(Transactions(), QUIET)
    undo(Transactions())

    generations = "SELECT DISTINCT generation FROM projection_checkpoints WHERE projection = 'transactions'"
    assert sweeper.execute(generations).fetchall() == [(1,)]
    history(bank, transfers=3)
    assert (rebuild(Transactions(), QUIET).rows, generation("transactions")) == (48, 2)
    call_command("verify_ledger")


def test_the_command_rebuilds_and_undoes(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    history(bank)
    call_command("rebuild_projection", "transactions", "--dry-run")
    assert "this was a dry run" in capsys.readouterr().out
    call_command("rebuild_projection", "transactions")
    call_command("rebuild_projection", "transactions", "--undo")
    with pytest.raises(CommandError, match="no previous generation"):
        call_command("rebuild_projection", "transactions", "--undo")
    with pytest.raises(CommandError, match="mended in place"):
        call_command("rebuild_projection", "accounts", "--undo")


def test_the_application_can_replace_tables_of_read_models_alone(db: None) -> None:

    for statement in (
        "SELECT create_shadow('events')",
        "SELECT swap_table('accounts', 'shadow', 'previous')",
        "SELECT drop_shadow('streams')",
        "INSERT INTO read_model_tables VALUES ('events')",
        "CREATE TABLE shadow.mine (id int)",
    ):
        with (
            pytest.raises(Exception, match=r"not a table of a read model|permission denied"),
            connection.cursor() as c,
        ):
            c.execute(statement)


@pytest.mark.parametrize("way", [("shadow", "shadow"), ("previous", "previous"), ("pg_temp", "previous")])
def test_tables_are_swapped_from_shadow_to_previous_or_back_and_in_no_other_way(
    db: None, way: tuple[str, str]
) -> None:
    with (
        pytest.raises(Exception, match="tables go from shadow to previous or back"),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT swap_table('transactions', %s, %s)", way)
