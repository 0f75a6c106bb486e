"""manage.py jobs: what workers do, seen, started and stopped from the command line."""

import getpass

import pytest
from django.core.management import CommandError, call_command

from ops.jobs import running
from ops.models import Job
from tests.bank import Bank


def test_a_job_is_started_seen_and_shown_with_its_report(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    bank.open("1.00")
    call_command("jobs", "start", "verify_ledger", "--subject", "ledger", "--reason", "the nightly one failed")
    job = Job.objects.get()
    assert f"Job {job.pk} waits for a worker." in capsys.readouterr().out
    assert (job.asked_by, job.reason) == (f"command:{getpass.getuser()}", "the nightly one failed")
    running.run(job.pk)

    call_command("jobs", "list")
    assert "done" in capsys.readouterr().out
    call_command("jobs", "show", str(job.pk))
    assert "The books agree" in capsys.readouterr().out
    with pytest.raises(CommandError, match="had ended before"):
        call_command("jobs", "cancel", str(job.pk))


def test_one_that_waits_is_cancelled(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("jobs", "start", "verify_ledger", "--reason", "x")
    call_command("jobs", "cancel", str(Job.objects.get().pk))
    assert "had not begun" in capsys.readouterr().out
    assert Job.objects.get().state == "cancelled"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("start", "nonsense", "--reason", "x"), "no job runs 'nonsense'; there are: .*verify_ledger"),
        (("start", "verify_ledger", "--reason", "x", "--input", "{"), "no JSON"),
        (("start", "verify_ledger", "--reason", "x", "--input", "[]"), "must be an object"),
        (("start", "verify_ledger"), "--reason"),
        (("show", "99"), "There is no job 99"),
        (("cancel", "99"), "There is no job 99"),
    ],
)
def test_what_is_wrong_is_told_and_starts_nothing(db: None, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("jobs", *words)
    assert not Job.objects.exists()


def test_what_can_be_started_is_listed(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("jobs", "actions")
    assert {"cleanup", "replay_stream", "swap_projection", "verify_ledger"} <= set(capsys.readouterr().out.split())
