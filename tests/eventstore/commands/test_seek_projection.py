"""`seek_projection` winds a read model back, and never forwards."""

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Transaction
from eventstore import projections
from eventstore.models import Event
from eventstore.projections.runner import Runner, catch_up
from tests.bank import Bank
from tests.locks import at_work_with, impatient


@pytest.fixture
def positions(bank: Bank) -> list[int]:
    ann = bank.open("100.00")
    for _ in range(8):
        bank.withdraw(ann, "1.00")
    catch_up(projections.registered())
    return list(Event.objects.order_by("position").values_list("position", flat=True))


@pytest.mark.parametrize("name", ["transactions", "journal"])
def test_rows_beyond_the_position_are_removed_and_made_again(positions: list[int], name: str) -> None:
    call_command("seek_projection", name, "--position", str(positions[4]))
    if name == "transactions":
        assert Transaction.objects.count() == 4
    call_command("verify_ledger")
    catch_up(projections.registered())
    assert Transaction.objects.count() == 9
    call_command("verify_ledger")


def test_a_runner_that_was_idle_notices(positions: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(projections.get("transactions"))  # type: ignore[arg-type]
    runner.step()
    call_command("seek_projection", "transactions", "--position", "0")
    monkeypatch.setattr(runner, "_look_again", 0.0)  # two seconds later
    assert runner.step() == len(positions)
    assert Transaction.objects.count() == 9


def test_a_dry_run_removes_nothing(positions: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seek_projection", "transactions", "--position", str(positions[4]), "--dry-run")
    assert "5 rows would be removed" in capsys.readouterr().out
    assert Transaction.objects.count() == 9


def test_it_goes_neither_forwards_nor_where_rows_cannot_be_told_apart(positions: list[int]) -> None:
    for name, position, message in (
        ("transactions", positions[-1] + 100, "never forwards"),
        ("transactions", -1, "never forwards"),
        ("daily_balances", positions[4], "use rebuild_projection daily_balances"),
        ("accounts", 0, "use rebuild_projection"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("seek_projection", name, f"--position={position}")
    assert Transaction.objects.count() == 9


def test_it_says_in_words_that_others_work_with_the_read_model(
    positions: list[int], sweeper: psycopg.Connection
) -> None:
    with (
        at_work_with("transactions", sweeper),
        impatient(),
        pytest.raises(CommandError, match=r"Nothing was changed: read model transactions is in use.*try again"),
    ):
        call_command("seek_projection", "transactions", "--position", "0")
    assert Transaction.objects.count() == 9
    call_command("verify_ledger")
