import asyncio

from prometheus_client import CollectorRegistry, Counter

from ops.metrics.gathered import Gathered


def counter(name: str) -> Counter:
    return Counter(name, "For this test.", registry=CollectorRegistry())


def test_what_is_gathered_is_counted_once_each_and_soon() -> None:
    some, other = counter("some"), counter("other")

    async def scenario() -> None:
        gathered = Gathered(0.02)
        for _ in range(5):
            gathered.add((some, other))
        gathered.add((other,))
        assert some._value.get() == 0, "it is written later, in one"
        await asyncio.sleep(0.1)
        assert (some._value.get(), other._value.get()) == (5, 6)
        gathered.add((some,))
        await asyncio.sleep(0.1)
        assert (some._value.get(), other._value.get()) == (6, 6), "what was written is not written again"

    asyncio.run(scenario())
