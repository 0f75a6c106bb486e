"""The first tier against an oracle of ten lines: a list in the order of use."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ops.cache.local import LocalCache

KEYS = st.sampled_from([f"key-{number}" for number in range(12)])
TTL = 10.0


class LocalCacheMachine(RuleBasedStateMachine):
    """`self.oracle`: (key, value, expires at), the least recently used first."""

    @initialize(size=st.integers(1, 6), shards=st.integers(1, 5))
    def begin(self, size: int, shards: int) -> None:
        self.now = 0.0
        self.size = size
        self.oracle: list[tuple[str, int, float]] = []
        self.cache: LocalCache[int] = LocalCache(
            max_size=size, shards=shards, ttl=TTL, clock=lambda: self.now, jitter=0.0
        )

    def take(self, key: str) -> tuple[str, int, float] | None:
        found = next((entry for entry in self.oracle if entry[0] == key), None)
        if found:
            self.oracle.remove(found)
        return found

    @rule(key=KEYS, value=st.integers())
    def put(self, key: str, value: int) -> None:
        assert self.cache.put(key, value)
        if not self.take(key) and len(self.oracle) == self.size:
            self.oracle.pop(0)
        self.oracle.append((key, value, self.now + TTL))

    @rule(key=KEYS, value=st.integers())
    def put_unless_there_is_a_greater_one(self, key: str, value: int) -> None:
        there = next((entry for entry in self.oracle if entry[0] == key), None)
        if there and there[1] > value:
            assert not self.cache.put(key, value, unless=lambda other: other > value)
        else:
            self.put(key, value)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.take(key)
        if found and found[2] > self.now:
            self.oracle.append(found)
            assert self.cache.get(key) == found[1]
        else:
            assert self.cache.get(key) is None

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        assert self.cache.remove(key) == bool(self.take(key))

    @rule(seconds=st.floats(0, 6))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.oracle.clear()

    @invariant()
    def both_hold_the_same_in_the_same_order(self) -> None:
        if hasattr(self, "cache"):
            held = [(key, value) for key, value, _ in reversed(self.oracle)]
            assert self.cache.newest(100) == held
            assert len(self.cache) == len(held) <= self.size


LocalCacheMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestLocalCache = LocalCacheMachine.TestCase
