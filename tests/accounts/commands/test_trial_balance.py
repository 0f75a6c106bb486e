"""`trial_balance` shows the books of a day."""

import csv
import io
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command

from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank

TODAY = datetime.now(UTC).date()
ROWS = [
    ["EUR", "cash:EUR", "0.00", "-100.00", "10.00", "-90.00", "2"],
    ["EUR", "customers", "0.00", "-10.00", "100.00", "90.00", "2"],
    ["EUR", "sum", "0.00", "-110.00", "110.00", "0.00", "4"],
]


@pytest.fixture(autouse=True)
def history(bank: Bank) -> None:
    bank.withdraw(bank.open("100.00"), "10.00")
    catch_up(registered())


def test_today_is_shown_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("trial_balance")

    first, headings, *rows = capsys.readouterr().out.splitlines()
    assert first == f"Trial balance of {TODAY}, not final: more may be recorded."
    assert headings.split("  ")[0] == "currency"
    assert [row.split() for row in rows] == ROWS


def test_another_ledger_reads_it_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("trial_balance", TODAY.isoformat(), "--csv")

    headings, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert headings == ["currency", "ledger account", "before", "debits", "credits", "after", "lines"]
    assert rows == ROWS


@pytest.mark.parametrize(
    ("day", "told"),
    [("2026-02-30", "is no day: write one such as 2026-01-31"), (str(TODAY + timedelta(days=1)), "has not begun")],
)
def test_a_day_that_cannot_be_is_refused_in_words(day: str, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("trial_balance", day)


def test_incomplete_figures_are_shown_and_the_command_fails(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    bank.open("1.00")

    with pytest.raises(CommandError, match="not complete: the read model ledger_days lacks postings"):
        call_command("trial_balance")

    assert [row.split() for row in capsys.readouterr().out.splitlines()[2:]] == ROWS


def test_books_that_do_not_sum_to_zero_fail_it(sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE ledger_days SET debits = debits + 1 WHERE ledger_account = 'customers'")

    with pytest.raises(CommandError, match="do NOT sum to zero: have them proved"):
        call_command("trial_balance")
