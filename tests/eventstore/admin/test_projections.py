"""Read models in the admin: compared, rebuilt and swapped by two persons, undone, paused and resumed."""

import threading
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Transaction
from accounts.projections.transactions import Transactions
from eventstore import projections
from eventstore.models import ProjectionState
from eventstore.projections.runner import Runner, catch_up, follow
from ops.models import AuditEntry, Job
from tests.bank import Bank
from tests.ops.admin.dialog import asked, confirm, decide, page_text, preview, worked
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

LIST = "/admin/eventstore/projectionstate/"


def at(what: str, name: str = "transactions") -> str:
    return f"{LIST}{name}/{what}/"


@pytest.fixture
def damaged(bank: Bank, sweeper: psycopg.Connection) -> UUID:
    ann = bank.open("100.00")
    bank.withdraw(ann, "1.00")
    catch_up(projections.registered())
    sweeper.execute("UPDATE transactions SET description = 'wrong'")
    return ann


def descriptions() -> set[str]:
    return set(Transaction.objects.values_list("description", flat=True))


def generation() -> int:
    return ProjectionState.objects.get(pk="transactions").active_generation


@pytest.mark.usefixtures("damaged")
def test_it_is_compared_by_a_job_swapped_by_two_persons_and_undone() -> None:
    operator, supervisor = signed_in(make_staff("operator")), signed_in(make_staff("supervisor"))
    for what in ("compare", "swap", "undo", "pause"):
        assert at(what) in page_text(operator.get(f"{LIST}transactions/change/"))

    job = worked(confirm(operator, at("compare"), preview(operator, at("compare"))[1]))
    assert job.state == "done", job.error
    assert "2 of them are wrong now: nothing was changed" in job.report[0]
    assert (descriptions(), generation()) == ({"wrong"}, 1)

    text, note = preview(operator, at("swap"))
    assert "2 of them are wrong now" in text, "the last comparison is part of the preview"
    approval = asked(confirm(operator, at("swap"), note))
    assert not Job.objects.filter(action="swap_projection").exists()
    assert approval.versions == {"generation": 1, "code_version": Transactions.version}
    approval = decide(supervisor, approval)
    job = worked_by(approval)
    assert job.state == "done", job.error
    assert (job.asked_by, job.approved_by) == ("staff:operator", "staff:supervisor")
    assert (descriptions(), generation()) == ({""}, 2)

    job = worked(confirm(operator, at("undo"), preview(operator, at("undo"))[1]))
    assert job.state == "done", job.error
    assert (descriptions(), generation()) == ({"wrong"}, 1)
    assert "has no previous generation" in preview(operator, at("undo"))[0]


def worked_by(approval: object) -> Job:
    from ops.jobs import running

    job = Job.objects.get(key=f"approval:{approval.pk}")  # type: ignore[attr-defined]
    assert running.run(job.pk)
    job.refresh_from_db()
    return job


@pytest.mark.usefixtures("damaged")
def test_an_approval_of_a_swap_counts_for_the_generation_that_it_was_asked_for() -> None:
    operator = signed_in(make_staff("operator"))
    approval = asked(confirm(operator, at("swap"), preview(operator, at("swap"))[1]))
    call_command("rebuild_projection", "transactions")
    assert decide(signed_in(make_staff("supervisor")), approval).state == "stale"
    assert generation() == 2
    assert not Job.objects.exists()


def test_a_paused_read_model_stands_still_until_it_is_resumed_and_then_misses_nothing(bank: Bank) -> None:
    operator = signed_in(make_staff("operator"))
    ann = bank.open("1.00")
    catch_up(projections.registered())
    stop = threading.Event()

    def run() -> None:
        from django.db import connections

        try:
            follow([Transactions()], stop)
        finally:
            connections.close_all()

    runner = threading.Thread(target=run)
    runner.start()
    try:
        told = page_text(confirm(operator, at("pause"), preview(operator, at("pause"))[1]))
        assert "transactions is paused" in told
        bank.deposit(ann, "2.00")
        bank.deposit(ann, "3.00")
        threading.Event().wait(1.2)
        assert Transaction.objects.count() == 1
        state = ProjectionState.objects.get(pk="transactions")
        assert (state.state, state.paused_by, state.reason) == ("paused", "staff:operator", "the feed stood still")
        assert "It is paused already" in preview(operator, at("pause"))[0]
        assert "Resume" in page_text(operator.get(f"{LIST}transactions/change/"))

        confirm(operator, at("resume"), preview(operator, at("resume"))[1])
        wait_until(lambda: Transaction.objects.count() == 3)
        wait_until(lambda: ProjectionState.objects.get(pk="transactions").state == "running")
    finally:
        stop.set()
        runner.join(timeout=20)
    assert set(AuditEntry.objects.filter(outcome="done").values_list("action", flat=True)) >= {
        "pause_projection",
        "resume_projection",
    }


def test_a_runner_that_starts_anew_respects_the_pause(bank: Bank) -> None:
    operator = signed_in(make_staff("operator"))
    bank.open("1.00")
    catch_up(projections.registered())
    confirm(operator, at("pause"), preview(operator, at("pause"))[1])
    bank.open("2.00")
    runner = Runner(Transactions())
    assert runner.try_step() == 0
    assert Transaction.objects.count() == 1
    assert ProjectionState.objects.get(pk="transactions").state == "paused"


def test_a_paused_read_model_is_neither_compared_nor_rebuilt(bank: Bank, sweeper: psycopg.Connection) -> None:
    checkpoints = "SELECT * FROM projection_checkpoints ORDER BY projection, generation, shard"
    operator = signed_in(make_staff("operator"))
    ann = bank.open("1.00")
    catch_up(projections.registered())
    asked_before = preview(operator, at("compare"))[1]
    confirm(operator, at("pause"), preview(operator, at("pause"))[1])
    bank.deposit(ann, "2.00")
    before = sweeper.execute(checkpoints).fetchall()

    for what in ("compare", "swap"):
        text, note = preview(operator, at(what))
        assert "is paused by staff:operator, and this would carry it on: resume it first" in text
        assert note == ""
    job = worked(confirm(operator, at("compare"), asked_before))
    assert (job.state, Transaction.objects.count(), generation()) == ("failed", 1, 1)
    for how in (["--dry-run"], []):
        with pytest.raises(CommandError, match=r"Nothing was changed: .* is paused by staff:operator"):
            call_command("rebuild_projection", "transactions", *how)

    assert (Transaction.objects.count(), generation()) == (1, 1)
    assert sweeper.execute(checkpoints).fetchall() == before


def test_what_sends_messages_cannot_be_rebuilt(bank: Bank) -> None:
    bank.open("1.00")
    catch_up(projections.registered())
    operator = signed_in(make_staff("operator"))
    for what in ("compare", "swap"):
        text, note = preview(operator, at(what, "webhooks"))
        assert "would be sent again" in text
        assert note == ""


def test_the_accounts_are_mended_in_place_by_two_persons(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann = bank.open("7.00")
    operator = signed_in(make_staff("operator"))
    sweeper.execute("UPDATE accounts SET balance = 5")
    assert at("swap", "accounts") in page_text(operator.get(LIST))
    approval = asked(confirm(operator, at("swap", "accounts"), preview(operator, at("swap", "accounts"))[1]))
    assert bank.balance(ann) == 5
    job = worked_by(decide(signed_in(make_staff("supervisor")), approval))
    assert (job.state, bank.balance(ann)) == ("done", 700), job.error


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_does_nothing_by_a_hand_made_request(bank: Bank, role: str) -> None:
    bank.open("1.00")
    catch_up(projections.registered())
    other = signed_in(make_staff(role))
    for what in ("pause", "resume", "compare", "swap", "undo"):
        assert other.post(at(what), {"reason": "x"}).status_code == 403
        assert other.post(at(what), {"confirmed": "x"}).status_code == 403
    assert ProjectionState.objects.get(pk="transactions").paused_by == ""
    assert not Job.objects.exists()
