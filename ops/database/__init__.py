"""PostgreSQL as bankes connects to it: Django's backend, with metrics, and a pool that heals at once, knows who holds
its connections, and tells of itself.

(Imports inside of the function: Django loads this package before its settings are complete.)
"""

from typing import Any


def pool_facts() -> list[dict[str, Any]]:
    """The pools of all processes of this machine: what `ops.database.watching` tells of each, no more than a second
    or two old, with the `process` that it is of."""
    from ops import board

    return [
        seen.facts["pool"] | {"process": seen.process}
        for seen in board.boards()
        if "size" in seen.facts.get("pool", {})
    ]
