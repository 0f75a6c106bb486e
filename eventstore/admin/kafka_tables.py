"""What the page of Kafka shows, row by row."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from eventstore.following import Following
from eventstore.kafka.cluster import Broker, Cluster, Group, Member, Partition
from eventstore.kafka.lag import Lag
from ops.admin.lists import Column
from ops.html import NOTHING, badge, link, page_of

SHOWN = 256
"""Rows of one table."""
STATES = {"running": "good", "paused": "warn", "failed": "bad"}


def number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def lag_badge(value: int | None) -> object:
    if value is None:
        return NOTHING
    return badge(f"{value:,}", "warn") if value else badge("0", "good")


def ranges(numbers: Iterable[int]) -> str:
    """0, 1, 2, 5 as "0–2, 5"."""
    return ", ".join(_ranges(numbers)) or NOTHING


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda item: item[1] - item[0]):
        members = [member for _, member in run]
        yield f"{members[0]}–{members[-1]}" if len(members) > 1 else str(members[0])


def table(columns: Sequence[Column], rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "headings": columns,
        "count": len(rows),
        "rows": [[(column, column.cell(row)) for column in columns] for row in rows[:SHOWN]],
    }


def brokers(cluster: Cluster) -> dict[str, Any]:
    columns: tuple[Column, ...] = (
        Column("Broker", lambda broker: broker.id),
        Column("Address", lambda broker: broker.address),
        Column("Controller", lambda broker: "yes" if broker.is_controller else NOTHING),
        Column("Leads partitions", lambda broker: _leads(cluster, broker), numeric=True),
    )
    return table(columns, cluster.brokers)


def _leads(cluster: Cluster, broker: Broker) -> int:
    return sum(part.leader == broker.id for parts in cluster.partitions.values() for part in parts)


def topics(cluster: Cluster) -> dict[str, Any]:
    columns: tuple[Column, ...] = (
        Column("Topic", lambda item: item[0]),
        Column("Partitions", lambda item: len(item[1]), numeric=True),
        Column("Messages kept", lambda item: _kept(item[1]), numeric=True),
        Column("Copies", lambda item: max((part.replicas for part in item[1]), default=0), numeric=True),
        Column("Without leader", lambda item: _bad(sum(part.leader < 0 for part in item[1])), numeric=True),
        Column(
            "Lacking a copy", lambda item: _bad(sum(part.in_sync < part.replicas for part in item[1])), numeric=True
        ),
    )
    return table(columns, list(cluster.partitions.items()))


def _kept(partitions: Sequence[Partition]) -> str:
    known = [part.high - part.low for part in partitions if part.high is not None and part.low is not None]
    return number(sum(known)) if known else NOTHING


def _bad(count: int) -> object:
    return badge(count, "bad") if count else badge("0", "good")


def groups(cluster: Cluster, events: Sequence[Partition], own: str) -> dict[str, Any]:
    columns: tuple[Column, ...] = (
        Column("Group", lambda group: group.id),
        Column("Of", lambda group: "the read models" if group.id == own else "others"),
        Column("State", lambda group: badge(group.state, "good" if group.state == "stable" else "warn")),
        Column("Members", lambda group: len(group.members), numeric=True),
        Column("Lag", lambda group: lag_badge(_total_lag(group, events)), numeric=True),
        Column("Shards that nobody holds", lambda group: ranges(_unheld(group, events))),
    )
    return table(columns, cluster.groups)


def _total_lag(group: Group, events: Sequence[Partition]) -> int | None:
    known = [lag for part in events if (lag := group.lag(part)) is not None]
    return sum(known) if known else None


def _unheld(group: Group, events: Sequence[Partition]) -> list[int]:
    return [part.number for part in events if group.holder(part.number) is None]


def members(cluster: Cluster) -> dict[str, Any]:
    columns: tuple[Column, ...] = (
        Column("Member", lambda item: item[1].client),
        Column("Group", lambda item: item[0].id),
        Column("Address", lambda item: item[1].host),
        Column("Holds shards", lambda item: ranges(item[1].shards)),
        Column("Shards", lambda item: len(item[1].shards), numeric=True),
    )
    found: list[tuple[Group, Member]] = [(group, member) for group in cluster.groups for member in group.members]
    return table(columns, found)


def shards(cluster: Cluster, events: Sequence[Partition], known: Lag | None) -> dict[str, Any]:
    """Each partition of the topic of events, with what each group and the slowest read model lack of it."""

    def slowest(shard: int) -> object:
        found = [entry for entry in (known.shards if known else []) if entry.shard == shard]
        worst = max(found, key=lambda entry: entry.behind, default=None)
        if worst is None:
            return NOTHING
        return badge(f"{worst.projection} {worst.behind:,}", "warn") if worst.behind else badge("0", "good")

    def holder(group: Group) -> Any:
        return lambda part: held.client if (held := group.holder(part.number)) else badge("nobody", "warn")

    def lag(group: Group) -> Any:
        return lambda part: lag_badge(group.lag(part))

    relayed = {entry.shard: entry.relayed for entry in known.shards} if known else {}
    columns: list[Column] = [
        Column("Shard", lambda part: part.number),
        Column("Leader", lambda part: part.leader if part.leader >= 0 else badge("none", "bad"), numeric=True),
        Column("In sync", lambda part: f"{part.in_sync} of {part.replicas}", numeric=True),
        Column("Low", lambda part: number(part.low), numeric=True),
        Column("High", lambda part: number(part.high), numeric=True),
        Column("Relayed to position", lambda part: number(relayed.get(part.number)), numeric=True),
        Column("Slowest read model lacks", lambda part: slowest(part.number), numeric=True),
    ]
    for group in cluster.groups:
        columns += [
            Column(f"Lag of {group.id}", lag(group), numeric=True),
            Column(f"Held for {group.id} by", holder(group)),
        ]
    return table(columns, events)


READ_MODELS: tuple[Column, ...] = (
    Column("Read model", lambda row: link(page_of("eventstore.projectionstate", row.projection), row.projection)),
    Column("State", lambda row: badge(row.state.capitalize(), STATES.get(row.state, "plain"))),
    Column("Position of its slowest shard", lambda row: number(row.position), numeric=True),
    Column("Positions behind", lambda row: lag_badge(row.behind), numeric=True),
    Column("Shards behind", lambda row: number(row.shards_behind), numeric=True),
    Column(
        "Oldest event it lacks", lambda row: NOTHING if row.seconds is None else f"{row.seconds:.1f} s", numeric=True
    ),
)


def read_models(found: Sequence[Following]) -> dict[str, Any]:
    return table(READ_MODELS, found)
