"""What PostgreSQL went through for a query."""

import json
from typing import Any

from django.db import connection


def rows_read(sql: str) -> int:
    """How many rows and index entries PostgreSQL went through; none of them by reading the table from its start."""
    nodes = scans(sql)
    assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
    found = [node for node in nodes if "Index" in node["Node Type"]]
    return sum(int(node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in found)


def scans(sql: str) -> list[dict[str, Any]]:
    """Every node of the plan that PostgreSQL chose, with what it really read."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (answer,) = cursor.fetchone()  # type: ignore[misc]
    plans = answer if isinstance(answer, list) else json.loads(answer)
    nodes, queue = [], [plans[0]["Plan"]]
    while queue:
        node = queue.pop()
        nodes.append(node)
        queue.extend(node.get("Plans", ()))
    return nodes
