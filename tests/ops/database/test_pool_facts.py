"""Each process tells of its pool, also when it is exhausted, and who holds what was not given back."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from ops.board import facts
from ops.database import pool_facts
from ops.detectors import held_connections, pool_pressure
from ops.operations import operation
from tests.bank import Bank
from tests.configured import configured
from tests.pools import all_connections_taken
from tests.processes import wait_until


@pytest.fixture
def impatient(bank: Bank) -> Iterator[None]:
    """What lasts longer than a second counts as long."""
    connection.close()
    with configured(deadlock_operation_timeout=1):
        yield


def test_what_is_told_is_what_is_so(bank: Bank) -> None:
    connection.ensure_connection()
    facts.tell()
    [pool] = pool_facts()
    assert (pool["in_use"], pool["min"], pool["max"], pool["limit"]) == (1, 2, 20, 20)
    assert pool["size"] == pool["in_use"] + pool["available"]
    assert pool["utilization"] == 0.05
    connection.close()
    facts.tell()
    assert pool_facts()[0]["in_use"] == 0
    assert pool_pressure() == []


def test_an_exhausted_pool_is_seen_from_outside_with_who_waits(bank: Bank) -> None:
    def wait_in_vain() -> None:
        try:
            connection.ensure_connection()
        finally:
            connections.close_all()

    with all_connections_taken():
        waiting = threading.Thread(target=wait_in_vain)
        waiting.start()
        wait_until(lambda: any(pool["waiting"] for pool in pool_facts()))
        [found] = pool_pressure()
    waiting.join(10)
    assert (found["measured"], found["threshold"]) == (1.0, 0.8)
    assert "20 of 20 connections in use, 1 callers wait" in found["reason"]
    facts.tell()
    facts.tell()
    assert pool_pressure() == []


def test_a_leaked_connection_is_found_with_the_stack_that_took_it(impatient: None) -> None:
    def somebody_forgets_it() -> None:
        connection.ensure_connection()
        kept.append(connection.connection)

    kept: list = []
    pool = connection.pool
    assert pool is not None
    thread = threading.Thread(target=somebody_forgets_it, name="forgetful")
    thread.start()
    thread.join()
    try:
        wait_until(lambda: bool(held_connections()))
        [found] = held_connections()
    finally:
        pool.putconn(kept[0])
    detail = found["detail"]
    assert (detail["why"], detail["thread"]) == ("its thread has ended", "forgetful")
    assert detail["database_pid"] == kept[0].info.backend_pid
    assert detail["stack"][0].startswith("tests/ops/database/test_pool_facts.py:")
    assert detail["stack"][0].endswith("somebody_forgets_it")
    assert found["measured"] > found["threshold"] == 1
    facts.tell()
    assert held_connections() == []


def test_a_connection_that_sits_in_a_transaction_is_found_and_one_of_an_operation_at_work_is_not(
    impatient: None,
) -> None:
    with operation("job", "long but busy"):
        connection.ensure_connection()
        time.sleep(1.2)
        facts.tell()
        assert held_connections() == []
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            facts.tell()
            time.sleep(1.2)
            facts.tell()
            [found] = held_connections()
            cursor.execute("ROLLBACK")
    assert found["detail"]["why"] == "in a transaction"
    assert found["detail"]["operation"]["name"] == "long but busy"
    connection.close()


def test_a_fact_that_fails_or_is_too_large_costs_no_other_its_place(bank: Bank) -> None:
    facts.register_fact("broken", lambda: {"never": 1 / 0})
    facts.register_fact("huge", lambda: {"text": "x" * 100_000})
    try:
        connection.ensure_connection()
        facts.tell()
        assert pool_facts()[0]["in_use"] == 1
    finally:
        del facts._facts["broken"], facts._facts["huge"]


def test_a_second_fact_of_the_same_name_is_refused(bank: Bank) -> None:
    with pytest.raises(ValueError, match="'pool' is registered twice"):
        facts.register_fact("pool", dict)
