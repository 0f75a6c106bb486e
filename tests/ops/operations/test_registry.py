"""Every command, batch, job and admin action is seen while it is in hand, from every process, and only then."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections

from accounts.projections.transactions import Transactions
from bankes.celery import app as celery
from eventstore.management.commands import cleanup as command
from eventstore.projections import checkpoints
from eventstore.projections.runner import catch_up
from ops.operations import active, operation
from ops.webhooks import worker
from ops.webhooks.models import Webhook, WebhookDelivery
from ops.webhooks.queue import Claimed
from tests.accounts.admin.forms import form_of
from tests.bank import Bank
from tests.processes import operation_elsewhere, wait_until
from tests.staff import make_staff, signed_in


@pytest.fixture
def holder(bank: Bank) -> Iterator[psycopg.Connection]:
    """Another writer of the bank, that can sit on a stream."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as conn:
        yield conn
        conn.rollback()


def test_a_command_that_waits_is_seen_with_what_it_touches_and_gone_when_it_is_done(
    bank: Bank, holder: psycopg.Connection
) -> None:
    ann, bob = bank.open("10.00"), bank.open()
    holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))

    def transfer() -> int:
        try:
            bank.transfer(ann, bob, "1.00")
            return int(connection.connection.info.backend_pid)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(transfer)
        wait_until(lambda: [op["step"] for op in active()] == ["locking"])
        [seen] = active()
        holder.rollback()
        backend = sent.result(timeout=10)

    assert (seen["kind"], seen["name"], seen["actor"]) == ("command", "Transfer", "system:test")
    assert set(seen["resources"]) == {str(ann), str(bob)}
    assert seen["deadline"] - seen["started"] == 30
    assert (seen["database_pid"], seen["process"]["pid"]) == (backend, os.getpid())
    assert active() == []


def test_a_batch_names_some_of_its_accounts_and_says_how_many_there_are(bank: Bank) -> None:
    with operation("batch", "many", resources=[str(number) for number in range(500)]):
        [seen] = active()
    assert (len(seen["resources"]), seen["resource_count"]) == (8, 500)


def test_the_backend_is_not_shown_any_more_once_the_connection_has_been_given_back(bank: Bank) -> None:
    """It may be another's by then, and backends are ended by what is shown here."""
    with operation("job", "careful"), operation("job", "inner"):
        connection.ensure_connection()
        first = connection.connection.info.backend_pid
        assert [op["database_pid"] for op in active()] == [first, first]
        connection.close()
        assert [op["database_pid"] for op in active()] == [None, None]
        connection.ensure_connection()
        assert [op["database_pid"] for op in active()] == [connection.connection.info.backend_pid] * 2
    with operation("job", "begun with a connection in hand"):
        assert [op["database_pid"] for op in active()] == [connection.connection.info.backend_pid]


def test_an_operation_that_fails_is_in_hand_no_more(bank: Bank) -> None:
    with pytest.raises(RuntimeError), operation("job", "doomed"):
        raise RuntimeError
    assert active() == []


def test_operations_of_other_processes_are_seen_and_go_with_a_process_that_is_killed() -> None:
    with operation_elsewhere() as process:
        [seen] = active()
        assert (seen["name"], seen["process"]["pid"]) == ("elsewhere", process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert active() == []


def test_a_projection_batch_is_one(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.open("1.00")
    seen: list[dict[str, Any]] = []
    move = checkpoints.move

    def look_and_move(*args: Any) -> None:
        seen.extend(active())
        move(*args)

    monkeypatch.setattr(checkpoints, "move", look_and_move)
    catch_up([Transactions()])
    assert [(op["kind"], op["name"], op["step"]) for op in seen] == [
        ("batch", "projection transactions", "moving checkpoints")
    ]
    assert seen[0]["resources"][0].startswith("positions ")


def test_a_management_command_is_one(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    cleanup = command.clean_up

    def look_and_clean_up(*args: Any, **options: Any) -> Any:
        seen.extend(active())
        return cleanup(*args, **options)

    monkeypatch.setattr(command, "clean_up", look_and_clean_up)
    call_command("cleanup")
    assert [(op["kind"], op["name"], op["deadline"]) for op in seen] == [("job", "cleanup", None)]
    assert active() == []


def test_a_celery_task_is_one(bank: Bank) -> None:
    seen: list[dict[str, Any]] = []

    @celery.task(name="tests.look", soft_time_limit=60)
    def look() -> None:
        seen.extend(active())

    look.apply()
    [op] = seen
    assert (op["kind"], op["name"], op["deadline"] - op["started"]) == ("job", "tests.look", 60)
    assert active() == []


def test_an_admin_action_is_one_with_its_actor_and_looking_is_none(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, teller = bank.open("1.00"), signed_in(make_staff("teller"))
    url = f"/admin/accounts/account/{ann}/deposit/"
    seen: list[list[dict[str, Any]]] = []
    monkeypatch.setattr(
        "accounts.admin.commands.views.staff_actor", lambda user: seen.append(active()) or f"staff:{user}"
    )
    form = {**form_of(teller, url), "amount": "5.00", "reason": "at the desk"}
    assert seen == []

    assert teller.post(url, form).status_code == 302
    [admin] = seen[0]
    assert (admin["kind"], admin["actor"]) == ("admin", "staff:teller")
    assert str(ann) in admin["resources"]
    assert active() == []


def test_a_delivery_of_a_webhook_is_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = Claimed(Webhook(), WebhookDelivery(event_type="Deposited"), 1, uuid4(), 1)
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(worker, "deliver", lambda claimed: seen.extend(active()))
    monkeypatch.setattr(worker.queue, "settle", lambda claimed, result: None)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(worker.Sender(1)._deliver, claimed).result()
    [op] = seen
    assert (op["kind"], op["name"], op["step"]) == ("webhook", "Deposited", "sending")
    assert op["resources"][0] == f"delivery {claimed.delivery.pk}"
    assert active() == []
