"""Runs checks side by side, and waits for none longer than it may take."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from health_check.base import HealthCheckResult

from ops.health.registry import Registered

_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
"""Shared and bounded: a check that hangs keeps its thread until it ends, and later ones are told that they waited
too long, instead of piling up threads."""


def run_checks(checks: Mapping[str, Registered]) -> dict[str, dict[str, Any]]:
    """{name: {"status": "healthy" or "unhealthy", "milliseconds", "error" where there is one}}."""
    results = asyncio.run(_gather(checks))
    return {name: _told(result) for name, result in zip(checks, results, strict=True)}


async def _gather(checks: Mapping[str, Registered]) -> list[HealthCheckResult]:
    return list(await asyncio.gather(*(entry.check.get_result(_threads) for entry in checks.values())))


def _told(result: HealthCheckResult) -> dict[str, Any]:
    told: dict[str, Any] = {
        "status": "unhealthy" if result.error else "healthy",
        "milliseconds": round(result.time_taken * 1000, 1),
    }
    return told | ({"error": str(result.error)} if result.error else {})
