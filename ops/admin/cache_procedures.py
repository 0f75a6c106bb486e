"""What staff do with a cache: evict keys, evict everything, warm it. None of it can make a read wrong."""

from collections.abc import Sequence
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from ops.access.permissions import RESET_POOL
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.procedure import AtOnce, ByJob, Plan
from ops.cache.emptying import count_shared
from ops.cache.metrics import entries_by_process
from ops.cache.registry import Browsable
from ops.cache.shared import Look
from ops.conf import get_settings

COUNTED = 100_000
COUNT_WITHIN = 1.0
MOST_WARMED = 20_000
"""By one job: to fill up with what changed last, twenty times as many events are looked through."""
NO_REDIS = "Nothing was evicted: Redis does not answer. Reads come from PostgreSQL meanwhile, and are right."


class WarmForm(ReasonForm):
    field_order = ("limit", "reason")
    limit = forms.IntegerField(
        label="How many",
        min_value=1,
        max_value=MOST_WARMED,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="The most used come first; where fewer were counted, those that changed last fill up.",
        error_messages={
            "min_value": "Write at least 1.",
            "max_value": f"Write at most {MOST_WARMED}; manage.py warm_cache takes more.",
            "invalid": "Write a whole number, such as 1000.",
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limit"].initial = min(MOST_WARMED, get_settings().cache_max_size)


class _OfCache:
    permission = RESET_POOL
    """Whoever may reset the pools: either costs some speed for a while, and nothing that was stored."""

    def __init__(self, cache: Browsable) -> None:
        self.cache = cache

    @property
    def subject(self) -> str:
        return f"cache:{self.cache.name}"


class EvictKeys(_OfCache, AtOnce):
    action = "evict_cached"
    button = "Evict"
    about = (
        "Removes the documents from Redis and from this process. The next read asks PostgreSQL. Other processes "
        "confirm what they hold with PostgreSQL before they show it."
    )
    command = "the page of the cache"

    def __init__(self, cache: Browsable, keys: Sequence[str]) -> None:
        super().__init__(cache)
        self.keys = list(keys)

    @property
    def subject(self) -> str:
        return (
            f"{self.cache.name}:{self.keys[0]}"
            if len(self.keys) == 1
            else f"cache:{self.cache.name}:{len(self.keys)}"
        )

    def plan(self, data: dict[str, Any]) -> Plan:
        looked = self.cache.cache().shared.look(self.keys)
        if looked is None:
            raise NotDone(NO_REDIS)
        found = {look.key: held for look in looked if (held := self._held(look))}
        return Plan([f"{key}: {held}" for key, held in found.items()], list(found))

    def _held(self, look: Look[Any]) -> str:
        """Where something is held of a key, in words; "" where nothing is."""
        here = self.cache.cache().peek(look.key)
        held = [
            f"version {look.version} in Redis" if look.version else "",
            "what cannot be read in Redis" if look.error else "",
            f"version {here[0].version} in this process" if here else "",
        ]
        return ", ".join(filter(None, held))

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        tiers = self.cache.cache()
        if tiers.shared.look(chosen) is None:
            raise NotDone(NO_REDIS)
        return [f"{key}: {'evicted' if tiers.evict(key) else 'was gone by then'}." for key in chosen]


class EvictEverything(_OfCache, ByJob):
    action = job = "evict_cache"
    button = "Evict everything"
    about = (
        "Removes every document of this cache from Redis, and empties the memories of all processes of this machine. "
        "Reads ask PostgreSQL until the cache is warm again: slower, and never wrong."
    )
    command = "the page of the cache"

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"cache": self.cache.name}

    def plan(self, data: dict[str, Any]) -> Plan:
        counted = count_shared(self.cache.cache().shared, most=COUNTED, within=COUNT_WITHIN)
        if counted is None:
            raise NotDone(NO_REDIS)
        count, is_all = counted
        told = f"{count:,}" if is_all else f"More than {count:,}"
        processes = entries_by_process()
        return Plan(
            [
                f"{told} keys are removed from Redis.",
                f"{sum(processes.values()):,} documents in the memories of {len(processes)} processes are forgotten.",
            ]
        )


class Warm(_OfCache, ByJob):
    action = "warm_cache"
    button = "Warm"
    about = "Reads documents from PostgreSQL and stores them in Redis, in batches, before somebody asks for them."
    form = WarmForm
    command = "manage.py warm_cache"

    @property
    def job(self) -> str:  # type: ignore[override]
        return self.cache.warming

    def plan(self, data: dict[str, Any]) -> Plan:
        counted = len(self.cache.most_used(data["limit"]))
        lines = [
            f"At most {data['limit']:,} documents are read from PostgreSQL, {get_settings().cache_warmup_batch_size} "
            "at a time, and stored in Redis.",
            f"{counted:,} keys are counted as used; where that is fewer, those that changed last fill up.",
        ]
        return Plan(lines)
