"""What the brokers tell of topics, partitions, consumer groups and their members: for people, within bounded time.

The brokers are asked in a thread of its own, one at a time in each process; whoever wants to know waits a moment for
it, and otherwise gets what is known from before, with its age. So no page waits for brokers that do not answer.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from eventstore.kafka import clients
from ops.conf import get_settings
from ops.timeouts import attempt

ANSWER_WITHIN = 5.0
"""Seconds that the brokers get for all questions of one look together, or KAFKA_OPERATION_TIMEOUT where that is
less."""
MOST_GROUPS = 20
"""Consumer groups that are asked after; the bank's own is always among them."""


@dataclass(frozen=True, slots=True)
class Broker:
    id: int
    address: str
    is_controller: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """`leader` is -1 where there is none. Messages from `low` on are kept, and `high` is the next one's offset; None
    where the brokers did not say."""

    topic: str
    number: int
    leader: int
    replicas: int
    in_sync: int
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer, with the partitions of the topic of events that it holds."""

    id: str
    client: str
    host: str
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group that follows the topic of events. `committed`: by partition, the offset to go on from."""

    id: str
    state: str
    members: tuple[Member, ...]
    committed: dict[int, int]

    def lag(self, partition: Partition) -> int | None:
        """Messages of the partition that the group has not committed; None where that is not known."""
        if partition.high is None or partition.low is None:
            return None
        return max(0, partition.high - max(self.committed.get(partition.number, 0), partition.low))

    def holder(self, number: int) -> Member | None:
        return next((member for member in self.members if number in member.shards), None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """`missing` are topics that the bank uses and the brokers do not have; `unanswered` are sentences on what could
    not be learnt."""

    brokers: list[Broker]
    partitions: dict[str, list[Partition]]
    missing: list[str]
    groups: list[Group]
    unanswered: list[str]
    seconds: float
    looked_at: float
    """Unix time."""


@dataclass(slots=True)
class _Asking:
    """The questions of one look, all within the same time."""

    client: AdminClient
    ends: float
    unanswered: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds, and a little: the clients take no time limit of nothing."""
        return max(0.05, self.ends - time.monotonic())

    def result(self, future: "Future[Any]", of: str) -> Any:
        """None where there is no answer, on which a sentence is noted."""
        try:
            return future.result(self.left)
        except (KafkaException, TooLate) as error:
            why = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
            sentence = f"{of}: {why}"
            if sentence not in self.unanswered:
                self.unanswered.append(sentence)
            return None


def ask() -> Cluster:
    """Asks the brokers now.

    Raises:
        KafkaException: they did not answer, or refused.
    """
    settings, began = get_settings(), time.monotonic()
    limit = min(ANSWER_WITHIN, settings.kafka_operation_timeout)
    asking = _Asking(_client(settings.kafka_bootstrap_servers), began + limit)
    with attempt("kafka"):
        found = asking.client.list_topics(timeout=asking.left)
    wanted = [settings.kafka_topic, settings.kafka_dead_letter_topic]
    topics = {name: found.topics[name] for name in wanted if name in found.topics}
    partitions = _partitions(asking, topics)
    brokers = [
        Broker(broker.id, f"{broker.host}:{broker.port}", broker.id == found.controller_id)
        for broker in sorted(found.brokers.values(), key=lambda broker: broker.id)
    ]
    return Cluster(
        brokers=brokers,
        partitions=partitions,
        missing=[name for name in wanted if name not in topics],
        groups=_groups(asking, settings.kafka_topic, partitions.get(settings.kafka_topic, [])),
        unanswered=asking.unanswered,
        seconds=time.monotonic() - began,
        looked_at=time.time(),
    )


@lru_cache(maxsize=2)
def _client(bootstrap_servers: str) -> AdminClient:
    """One for the life of the process: each has threads and connections of its own."""
    return clients.admin()


def _partitions(asking: _Asking, topics: dict[str, Any]) -> dict[str, list[Partition]]:
    places = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]
    low, high = (_offsets(asking, places, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    return {
        name: [
            Partition(
                topic=name,
                number=number,
                leader=told.leader,
                replicas=len(told.replicas),
                in_sync=len(told.isrs),
                low=low.get((name, number)),
                high=high.get((name, number)),
            )
            for number, told in sorted(topic.partitions.items())
        ]
        for name, topic in topics.items()
    }


def _offsets(asking: _Asking, places: Sequence[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    if not places:
        return {}
    futures = asking.client.list_offsets(dict.fromkeys(places, spec), request_timeout=asking.left)
    answers = {
        (place.topic, place.partition): asking.result(future, f"Offsets of {place.topic}")
        for place, future in futures.items()
    }
    return {place: answer.offset for place, answer in answers.items() if answer is not None}


def _groups(asking: _Asking, topic: str, partitions: Sequence[Partition]) -> list[Group]:
    """The groups that follow the topic: the bank's own, and others that have committed to it or hold parts of it."""
    own = get_settings().kafka_group_id
    listed = asking.result(asking.client.list_consumer_groups(request_timeout=asking.left), "Consumer groups")
    ids = {group.group_id for group in listed.valid} if listed else {own}
    chosen = [own, *sorted(ids - {own})][:MOST_GROUPS]
    if len(ids | {own}) > MOST_GROUPS:
        asking.unanswered.append(f"Consumer groups: only {MOST_GROUPS} of {len(ids)} were asked after")
    described = asking.client.describe_consumer_groups(chosen, request_timeout=asking.left)
    places = [TopicPartition(topic, partition.number) for partition in partitions]
    committed = {
        group: asking.client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=asking.left
        )[group]
        for group in (chosen if places else ())
    }
    found = [_group(asking, group, described[group], committed.get(group), topic) for group in chosen]
    return [group for group in found if group.id == own or group.committed or any(m.shards for m in group.members)]


def _group(
    asking: _Asking, name: str, described: "Future[Any]", committed: "Future[Any] | None", topic: str
) -> Group:
    told = asking.result(described, f"Group {name}")
    offsets = asking.result(committed, f"Offsets of group {name}") if committed else None
    return Group(
        id=name,
        state=told.state.name.lower().replace("_", " ") if told else "not known",
        members=tuple(_member(member, topic) for member in told.members) if told else (),
        committed=_committed(offsets.topic_partitions) if offsets else {},
    )


def _committed(places: Iterable[TopicPartition]) -> dict[int, int]:
    return {place.partition: place.offset for place in places if place.offset >= 0 and not place.error}


def _member(told: Any, topic: str) -> Member:
    held = told.assignment.topic_partitions if told.assignment else ()
    shards = tuple(sorted(place.partition for place in held if place.topic == topic))
    return Member(told.member_id, told.client_id, str(told.host).lstrip("/"), shards)


# -- without waiting


@dataclass(frozen=True, slots=True)
class Seen:
    """The last answer, if there has been one, and what the last look that ended without says. `is_pending`: a look is
    under way, and has lasted `pending_seconds`."""

    cluster: Cluster | None = None
    error: str = ""
    is_pending: bool = False
    pending_seconds: float = 0.0


class Looker:
    """Asks in a thread of its own. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = Seen()
        self._under_way: threading.Event | None = None
        self._began = 0.0

    def look(self, wait: float) -> Seen:
        """Begins a look, unless one is under way, waits at most `wait` seconds for its end, and returns what is known
        then."""
        with self._lock:
            if self._under_way is None:
                self._begin()
            ended, began = self._under_way, self._began
            assert ended is not None
        is_over = ended.wait(wait)
        last = self._last
        return last if is_over else Seen(last.cluster, last.error, True, time.monotonic() - began)

    def _begin(self) -> None:
        ended = threading.Event()
        threading.Thread(target=self._ask, args=(ended,), name="kafka-look", daemon=True).start()
        self._under_way, self._began = ended, time.monotonic()  # not before the thread has begun: it may not

    def _ask(self, ended: threading.Event) -> None:
        try:
            seen = Seen(ask())
        except KafkaException as error:
            seen = Seen(self._last.cluster, error.args[0].str())
        except Exception as error:
            seen = Seen(self._last.cluster, f"{type(error).__name__}: {error}"[:300])
        with self._lock:
            self._last, self._under_way = seen, None
        ended.set()


looker = Looker()
