"""Replacing the connections of all pools of this machine, on record."""

import time
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError

from ops.database import pool_facts
from ops.database.watching import request_reset
from ops.detectors.ending import on_record
from ops.detectors.models import Resolution

log = structlog.get_logger(__name__)

CONFIRMED_WITHIN = 5.0
"""Seconds; each process looks once a second."""


@dataclass(frozen=True, slots=True)
class Reset:
    """How many pools there were, the ids of processes that have not answered (they may hang), and why it could not be
    recorded, where that is so."""

    pools: int
    missing: tuple[int, ...]
    not_recorded: str = ""


def reset_pools(*, actor: str, reason: str) -> Reset:
    """Has every process of this machine replace the connections of its pool: idle ones at once, others when they are
    given back. Waits until all have said so, at most `CONFIRMED_WITHIN` seconds."""
    began, processes = time.time(), [_process(pool) for pool in pool_facts()]
    request_reset()
    # Recorded after the request: a pool that gives no connection is why it is reset.
    error = _record(actor, reason, [pid for _, pid in processes])
    missing = _unconfirmed(set(processes), began)
    return Reset(len(processes), tuple(sorted(pid for _, pid in missing)), error)


def _process(pool: dict[str, Any]) -> tuple[str, int]:
    """Host and id: containers that share a board count their processes each from 1."""
    return pool["process"]["host"], pool["process"]["pid"]


def described(pools: list[dict[str, Any]]) -> list[str]:
    """A line for each pool, for people."""
    return [
        f"{pool['process']['role']:<12} {pool['process']['pid']:>8}  {pool['in_use']} in use, "
        f"{pool['available']} idle, {pool['waiting']} waiting, at most {pool['limit']}"
        for pool in pools
    ]


def _record(actor: str, reason: str, pids: list[int]) -> str:
    resolution = Resolution(
        action=Resolution.Action.RESET_POOL,
        outcome=Resolution.Outcome.DONE,
        actor=actor,
        reason=reason,
        detail={"processes": pids},
    )
    try:
        on_record(resolution)
    except DatabaseError as error:
        log.warning("pool_reset_not_recorded", actor=actor, why=reason, error=str(error))
        return str(error)
    return ""


def _unconfirmed(processes: set[tuple[str, int]], began: float) -> set[tuple[str, int]]:
    """Those that still run and have not reset their pools within the time."""
    deadline = time.monotonic() + CONFIRMED_WITHIN
    while True:
        facts = {_process(pool): pool for pool in pool_facts()}
        missing = {process for process in processes & facts.keys() if (facts[process]["reset_at"] or 0) < began}
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)
