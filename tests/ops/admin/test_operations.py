"""The page "Operations": what is in hand, stuck, blocked and held."""

import os
import time

import psycopg
import pytest
from django.core.signing import dumps
from django.test import Client

from ops.board import facts
from ops.detectors import looking
from ops.operations import operation
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import page_text
from tests.ops.detectors.conftest import in_hand, own_eye, stranger  # noqa: F401  # fixtures
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

PAGE = "/admin/ops/operationsaccess/"


@pytest.fixture
def operator(bank: Bank) -> Client:
    return signed_in(make_staff("operator"))


def test_what_is_in_hand_and_stuck_is_shown_with_who_and_where(operator: Client) -> None:
    with (
        operation("job", "rebuild", actor="command:rebuild"),
        operation("command", "Transfer <b>", timeout=0.01, actor="client:acme", resources=["a", "b", "c", "d"]),
    ):
        time.sleep(0.05)
        text = operator.get(PAGE).content.decode()
    assert "job rebuild" in text
    assert "command Transfer &lt;b&gt;" in text
    assert "client:acme" in text
    assert "and 1 more" in text
    assert "over by 0." in text
    assert str(os.getpid()) in text
    assert "job rebuild" not in operator.get(PAGE).content.decode()


def test_who_blocks_whom_is_a_tree(operator: Client, stranger: psycopg.Connection) -> None:  # noqa: F811
    stranger.execute("SELECT pg_advisory_xact_lock(4711)")
    with in_hand("SELECT pg_advisory_xact_lock(4711)", timeout=30) as waiting:
        wait_until(lambda: "waits" in page_text(operator.get(PAGE)))
        text = page_text(operator.get(PAGE))
        stranger.rollback()
    assert text.index('class="b-tree"') < text.index("psql") < text.index("command Slow, waits")
    assert text.count('class="b-tree"') == 2
    assert str(waiting.pid) in text
    assert "Not the bank's" in text


def test_pools_and_connections_held_too_long_are_shown_with_the_stack(operator: Client) -> None:
    with configured(deadlock_operation_timeout=1), in_hand("SELECT 1", timeout=30, sits=True) as holding:
        facts.tell()
        time.sleep(1.2)
        facts.tell()
        text = page_text(operator.get(PAGE)).split(">Connections held too long")[-1]
    assert str(holding.pid) in text
    assert "conftest.py" in text, "the stack that took it"
    assert "of 20" in text.split(">Pools")[-1]


def test_while_postgresql_cannot_be_looked_into_the_page_says_so_and_shows_the_rest(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(*args: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(looking.Eye, "_ask", blind)
    with operation("job", "rebuild"):
        answer = operator.get(PAGE)
    assert answer.status_code == 200
    assert "PostgreSQL cannot be looked into" in page_text(answer)
    assert "job rebuild" in page_text(answer)


BUTTONS = ("End long transactions", "Reset the pools", "Clean up", "/end-operation/")


def test_an_auditor_sees_the_page_and_nothing_to_press(bank: Bank) -> None:
    with operation("job", "rebuild"), in_hand("SELECT 1", timeout=30, sits=True):
        for role, sees in (("auditor", False), ("operator", True), ("supervisor", True)):
            text = page_text(signed_in(make_staff(role)).get(PAGE))
            assert [button in text for button in BUTTONS] == [sees] * 4, role


@pytest.mark.parametrize("role", ["viewer", "teller"])
def test_others_do_not_see_the_page(db: None, role: str) -> None:
    assert signed_in(make_staff(role)).get(PAGE).status_code == 403


def test_the_page_itself_takes_no_orders(operator: Client) -> None:
    assert operator.post(PAGE, {"confirmed": dumps({}, salt="ops.admin.procedure")}).status_code == 405
