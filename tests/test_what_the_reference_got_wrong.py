"""The service that the troubleshooting guide was written for had these defects. Each is a test of ours, by number."""

import gc
import os
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from django.utils import timezone

from accounts.domain.commands import CloseAccount, Deposit, OpenAccount, Transfer, Withdraw
from accounts.domain.errors import ErrorCode
from accounts.domain.money import MAX_AMOUNT, Money
from accounts.models import Account, DailyBalance, JournalLine, Transaction
from accounts.projections.transactions import Transactions
from accounts.services import Executed, Refused, execute
from eventstore import projections, store
from eventstore.cleanup import cleanup
from eventstore.errors import StoreBusy
from eventstore.events import Context, NewEvent, new_id
from eventstore.models import Event, IdempotencyRecord, ProjectionState, Stream
from eventstore.projections.runner import Runner, catch_up
from eventstore.projections.snapshots import Snapshots
from ops import board, detectors
from ops.access.keys import issue_key
from ops.board import layout
from ops.database import pool_facts
from ops.models import ApiClient
from ops.operations import active, operation
from ops.timeouts import Rate, record, within
from tests.bank import Bank
from tests.configured import configured
from tests.processes import wait_until
from tests.threads import together
from tests.web import web_server

EURO = Money(100, "EUR")


def codes(outcomes: list) -> list[str]:
    return [outcome.code.value if isinstance(outcome, Refused) else "done" for outcome in outcomes]


def test_row_01_a_batch_is_validated_as_strictly_as_a_single_command(bank: Bank) -> None:
    poor, closed = bank.open("1.00"), bank.open()
    bank.close(closed)
    before = bank.footprint()

    outcomes = execute(
        [
            bank.envelope(Withdraw(poor, Money(101, "EUR"))),
            bank.envelope(Deposit(poor, Money(-5, "EUR"))),
            bank.envelope(Deposit(closed, EURO)),
            bank.envelope(Deposit(new_id(), EURO)),
        ]
    )

    assert codes(outcomes) == ["insufficient_funds", "invalid_amount", "account_closed", "account_not_found"]
    assert bank.footprint() == before


def test_row_02_a_command_sent_again_after_a_timeout_is_posted_once(bank: Bank) -> None:
    ann = bank.open("10.00")
    command = Withdraw(ann, EURO)
    results = together([lambda: execute([bank.envelope(command, key="after-timeout")])[0]] * 8)

    assert len({r.transaction_id for r in results if isinstance(r, Executed)}) == 1
    assert {r.code for r in results if isinstance(r, Refused)} <= {ErrorCode.COMMAND_IN_PROGRESS}
    assert bank.balance(ann) == 900


def test_row_03_a_transfer_is_one_command_with_both_sides_in_one_transaction(bank: Bank) -> None:
    ann, bob = bank.open("10.00"), bank.open()
    bank.freeze(bob)
    before = bank.footprint()
    assert codes(execute([bank.envelope(Transfer(ann, bob, EURO))])) == ["account_frozen"]
    assert bank.footprint() == before, "the withdrawal happened without the deposit"

    bank.unfreeze(bob)
    done = bank.transfer(ann, bob, "1.00")
    assert Event.objects.filter(command_id=done.transaction_id).count() == 2


def test_row_04_minor_units_are_exact_and_one_oversized_value_fails_alone(bank: Bank) -> None:
    ann = bank.open()
    outcomes = execute(
        [bank.envelope(Deposit(ann, Money(1, "EUR")))] * 1000
        + [
            bank.envelope(Deposit(ann, Money(MAX_AMOUNT + 1, "EUR"))),
            bank.envelope(Deposit(ann, Money(10**30, "EUR"))),
        ]
        + [bank.envelope(Deposit(ann, Money(7, "EUR")))]
    )
    assert codes(outcomes)[-3:] == ["amount_too_large", "amount_too_large", "done"]
    assert bank.balance(ann) == 1007


def test_row_05_limits_are_enforced_and_money_is_never_closed_away(bank: Bank) -> None:
    ann = bank.open("1.00", overdraft="2.00")
    outcomes = execute(
        [
            bank.envelope(CloseAccount(ann)),
            bank.envelope(Withdraw(ann, Money(301, "EUR"))),
            bank.envelope(Withdraw(ann, Money(300, "EUR"))),
            bank.envelope(CloseAccount(ann)),
        ]
    )
    assert codes(outcomes) == ["balance_not_zero", "insufficient_funds", "done", "balance_not_zero"]


def test_row_06_events_are_their_own_outbox(bank: Bank) -> None:
    """What is read by subscribers is the table of events itself: neither can exist without the other."""
    from eventstore import feed

    ann = bank.open("10.00")
    bank.withdraw(ann, "1.00")
    read, _ = feed.read(after=0, upto=feed.mark(), limit=100)
    assert [event.event_id for event in read] == list(
        Event.objects.order_by("position").values_list("event_id", flat=True)
    )


def test_row_07_a_version_is_known_only_when_it_is_committed(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails at its very end leaves nothing behind that could wedge the account."""
    from eventstore.appending import Append

    ann = bank.open("10.00")
    before = bank.footprint()

    def fail(*_: object) -> None:
        raise OSError("the process died here")

    with monkeypatch.context() as patch:
        patch.setattr(Append, "write", fail)
        with pytest.raises(OSError, match="died here"):
            bank.withdraw(ann, "1.00")

    assert bank.footprint() == before
    bank.withdraw(ann, "1.00")
    assert Stream.objects.get(aggregate_id=ann).version == 3


def test_row_08_commands_on_one_account_in_one_batch_do_not_conflict_and_each_is_answered(bank: Bank) -> None:
    ann = bank.open("5.00")
    outcomes = execute([bank.envelope(Withdraw(ann, Money(200, "EUR")))] * 4)
    assert codes(outcomes) == ["done", "done", "insufficient_funds", "insufficient_funds"]
    assert bank.balance(ann) == 100


def test_row_09_snapshots_are_read(bank: Bank) -> None:
    ann = bank.open()
    for _ in range(9):
        bank.deposit(ann, "1.00")
    taker = Snapshots()
    taker.every = 10
    catch_up([taker])

    loaded = store.load(ann)
    assert (loaded.snapshot_version, loaded.events_read) == (10, 0)


def test_row_10_the_cleanup_applies_nothing_again(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann = bank.open("10.00")
    bank.do(Withdraw(ann, EURO), key="k")
    catch_up(projections.registered())
    sweeper.execute("UPDATE idempotency_records SET created_at = created_at - interval '30 days'")
    before = bank.footprint(), list(Transaction.objects.values()), list(JournalLine.objects.values())

    assert cleanup().removed["idempotency_records"] == 1
    assert catch_up(projections.registered()) == 0
    assert (bank.footprint(), list(Transaction.objects.values()), list(JournalLine.objects.values())) == before
    assert not IdempotencyRecord.objects.exists()


def test_row_14_read_models_lose_no_update_and_learn_of_closings(bank: Bank) -> None:
    ann = bank.open()
    together([lambda: [bank.deposit(ann, "1.00") for _ in range(10)]] * 8)
    bank.withdraw(ann, "80.00")
    bank.close(ann)
    chosen = projections.registered()
    together([lambda: catch_up(chosen)] * 4)
    catch_up(chosen)

    assert Account.objects.get(id=ann).status == "closed"
    assert Transaction.objects.filter(account_id=ann).count() == 81
    day = DailyBalance.objects.get(account_id=ann)
    assert (day.closing_balance, day.postings, day.credits, day.debits) == (0, 81, 8000, -8000)


def test_row_15_an_unknown_event_type_stops_one_read_model_and_crashes_nothing(bank: Bank) -> None:
    stranger = new_id()
    bank.open("1.00")
    store.append(
        "account",
        [NewEvent(stranger, "Unheard", {})],
        expected={stranger: 0},
        context=Context(actor="system:test", source="test"),
    )
    bank.open("2.00")
    runner = Runner(Transactions())

    assert runner.try_step() == 0
    assert ProjectionState.objects.get(name="transactions").state == "paused"
    assert bank.balance(bank.open("3.00")) == 300, "the bank itself goes on"


def test_row_16_history_stays_readable_however_old_it_is(bank: Bank) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3 * 365)
    ann = new_id()
    [opened] = execute([bank.envelope(OpenAccount(ann, "Ann", "EUR", opening_deposit=500))], recorded_at=long_ago)
    assert isinstance(opened, Executed)
    bank.withdraw(ann, "1.00")
    catch_up(projections.registered())

    assert Transaction.objects.filter(account_id=ann).earliest("position").recorded_at == long_ago
    assert store.load(ann, as_of=long_ago).state.balance == 500
    assert DailyBalance.objects.filter(account_id=ann).count() == 2
    call_command("verify_ledger")


@pytest.mark.parametrize("token", ["", "x", "Bearer", "bk_", "bk_000000000000_short", "bk_000000000000_" + "A" * 43])
def test_row_21_a_wrong_token_is_a_clean_refusal_and_lists_nobody_s_accounts(bank: Bank, token: str) -> None:
    bank.open("10.00", owner="Ann Secret")
    answer = Client().get("/api/v1/accounts", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert b"Ann Secret" not in answer.content


def test_row_21_scopes_and_care_are_checked_on_every_call(bank: Bank) -> None:
    mine, theirs = bank.open("10.00", custodian="client:shop"), bank.open("10.00", custodian="client:other")
    client = ApiClient.objects.create(name="shop")
    soon = timezone.now() + timedelta(hours=1)
    _, token = issue_key(client=client, scopes=["accounts:read"], expires_at=soon, issued_by=None)
    browser = Client(headers={"authorization": f"Bearer {token}", "idempotency-key": "k"})
    before = bank.footprint()

    listed = [row["id"] for row in browser.get("/api/v1/accounts").json()["results"]]
    body = {"amount": "1.00", "currency": "EUR"}
    taken = browser.post(f"/api/v1/accounts/{mine}/withdrawals", body, content_type="application/json")

    assert listed == [str(mine)]
    assert browser.get(f"/api/v1/accounts/{theirs}").status_code == 404
    assert (taken.status_code, taken.json()["code"]) == (403, "permission_denied")
    assert bank.footprint() == before


def test_row_22_who_did_it_why_and_what_caused_it_are_stored_with_every_event(bank: Bank) -> None:
    bank.context = Context(
        actor="staff:alice",
        source="admin",
        reason="customer asked at the desk",
        request_id="r-1",
        correlation_id="c-1",
        causation_id="e-1",
        address="127.0.0.1",
    )
    ann, bob = bank.open("10.00"), bank.open()
    bank.transfer(ann, bob, "1.00")
    assert Event.objects.count() == 5
    for event in Event.objects.all():
        assert event.metadata == bank.context.metadata()
        assert event.command_id is not None


def test_row_18_detectors_are_fed_by_what_happens_and_counters_move(bank: Bank) -> None:
    ann = bank.open("1.00")
    before = detectors.deadlocks(60)
    assert (detectors.stuck_operations(), detectors.blocked(), detectors.held_connections()) == ([], [], [])

    def deposit() -> str:
        try:
            with configured(deadlock_operation_timeout=1):
                bank.deposit(ann, "1.00")
        except StoreBusy:
            return "busy"
        finally:
            connections.close_all()
        return "done"

    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
        sent = threads.submit(deposit)
        wait_until(lambda: len(detectors.stuck_operations()) == 1)
        [stuck], told = detectors.stuck_operations(), {entry["pid"]: entry for entry in detectors.blocked()}
        waiting = told[stuck["detail"]["operation"]["database_pid"]]
        assert waiting["blocked_by"] == [holder.info.backend_pid]
        assert waiting["operations"][0]["resources"] == [str(ann)]
        wait_until(lambda: any(pool["in_use"] for pool in pool_facts()))
        assert sent.result(timeout=20) == "busy"

    after = detectors.deadlocks(60)
    assert after["lock_timeouts"] == before["lock_timeouts"] + 1
    assert (detectors.stuck_operations(), detectors.blocked()) == ([], [])
    assert bank.balance(ann) == 100


def test_row_23_memory_does_not_grow_with_completed_operations(bank: Bank) -> None:
    def some() -> None:
        for number in range(500):
            with operation("command", "Transfer", timeout=30, resources=[number], actor="client:shop") as begun:
                begun.step("writing")

    some()
    tracemalloc.start()
    try:
        some()
        gc.collect()
        first, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            some()
        gc.collect()
        last, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert last - first < 100_000, "5,000 operations have left something behind"
    assert (active(), board.own_in_hand()) == ([], 0)
    size = sum(path.stat().st_size for path in layout.directory().glob(f"*-{os.getpid()}-*"))
    assert size == layout.SIZE


def test_row_23_told_to_stop_the_server_finishes_the_command_in_hand(bank: Bank) -> None:
    client = ApiClient.objects.create(name="shop")
    ann = bank.open(custodian="client:shop")
    soon = timezone.now() + timedelta(hours=1)
    _, token = issue_key(client=client, scopes=["payments:write"], expires_at=soon, issued_by=None)
    body = {"amount": "1.00", "currency": "EUR"}

    with (
        web_server() as web,
        psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder,
        ThreadPoolExecutor(1) as threads,
    ):
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
        sent = threads.submit(lambda: web.post(f"/accounts/{ann}/deposits", body, token=token, key="last"))
        wait_until(lambda: [op["step"] for op in active()] == ["locking"])
        web.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        holder.rollback()
        status, answer = sent.result(timeout=20)
        assert web.process.wait(15) == 0

    assert (status, answer["accounts"][0]["balance"]) == (200, "1.00")
    assert bank.balance(ann) == 100
    assert active() == []


def test_row_17_health_is_measured_and_the_timeout_rate_is_timeouts_of_attempts(bank: Bank) -> None:
    """`/health` was the word "healthy", the timeout rate n/(n+1); cache, Kafka and Redis were healthy by constant."""
    browser = Client(SERVER_NAME="localhost")

    def told(component: str) -> dict:
        return browser.get(f"/health/{component}").json()

    before = told("timeouts")["values"]["components"]["batch"]
    for _ in range(3):
        record("batch", "timeout", 1.0)
    bank.open("1.00")
    after = told("timeouts")["values"]["components"]["batch"]
    assert after["timeouts"] - before["timeouts"] == 3
    assert after["timeout_rate"] == pytest.approx(after["timeouts"] / after["attempts"], abs=1e-4)
    assert Rate(attempts=0, timeouts=0, errors=0).timeout_rate is None, "none without attempts"

    assert told("projections")["status"] == "degraded", "nobody has carried the read models along"
    catch_up(projections.registered())
    assert told("projections")["status"] == "healthy"
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    with override_settings(CACHES={**settings.CACHES, "default": nowhere}):
        assert told("redis")["status"] == "unhealthy"
        assert browser.get("/health").status_code == 503
    assert told("redis")["status"] == "healthy"


def test_row_19_a_batch_that_timed_out_has_posted_nothing_and_the_same_keys_tell_so(bank: Bank) -> None:
    """The batch API reported "timed out" and then posted all the same."""
    ann, bob = bank.open("10.00"), bank.open()
    before = bank.footprint()
    batch = [bank.envelope(Deposit(account, EURO), key=f"late-{account}") for account in (ann, bob)]
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder:
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (bob,))
        with within(0.3), pytest.raises(StoreBusy):
            execute(batch)
        holder.rollback()
    time.sleep(0.3)

    assert bank.footprint() == before, "what timed out was posted all the same"
    again = execute(batch)
    assert codes(again) == ["done", "done"]
    assert not any(outcome.replayed for outcome in again if isinstance(outcome, Executed))
    assert (bank.balance(ann), bank.balance(bob)) == (1100, 100)
