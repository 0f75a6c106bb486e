"""What the page of the cache shows of each key: what Redis holds, beside what PostgreSQL says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.admin.lists import Column
from ops.cache.documents import Document
from ops.cache.registry import Browsable
from ops.cache.shared import Look
from ops.html import NOTHING, at_unix, badge, link, page_of, short_id


@dataclass(frozen=True, slots=True)
class Row:
    """One key. `source` is the document as PostgreSQL has it, read after Redis was asked; `here` what this process
    holds in its memory, and for how many seconds that has not been confirmed."""

    cache: Browsable
    look: Look[Any]
    source: Document[Any] | None
    here: tuple[Document[Any], float] | None
    uses: float | None = None

    @property
    def pk(self) -> str:
        return self.look.key

    def __str__(self) -> str:
        return f"{self.cache.name} {self.pk}"

    @property
    def verdict(self) -> tuple[str, str]:
        """In words, and the tone of the badge. Reads are right in every case: this says whether the cache helps, and
        whether something is wrong with it."""
        cached, held, source = self.look.version, self.look.document, self.source
        if self.look.error:
            return "cannot be read", "bad"
        if source is None:
            return ("not in PostgreSQL", "bad") if cached else ("unknown", "plain")
        if cached is None:
            return "not cached", "plain"
        if cached > source.version:
            return "ahead of PostgreSQL", "bad"
        if cached < source.version:
            return f"{source.version - cached} behind", "warn"
        if held is None:
            return "pointer without document", "plain"
        return ("the same", "good") if held.value == source.value else ("differs", "bad")


ADVICE = {
    "cannot be read": "It is of another release, or damaged. Reads pass it over; evict it to be rid of it.",
    "not in PostgreSQL": "PostgreSQL does not know it. Was a backup restored? Then evict everything.",
    "ahead of PostgreSQL": "PostgreSQL has forgotten what is cached. Was a backup restored? Then evict everything.",
    "differs": "The row was mended without a new version. Reads ask PostgreSQL, and are right; evict it.",
    "not cached": "The next read that asks Redis stores it, or a warm-up does.",
    "pointer without document": "The document was dropped for want of memory, or is past its life.",
    "unknown": "Neither Redis nor PostgreSQL has it. Check the id.",
    "the same": "Redis holds what PostgreSQL holds.",
}
BEHIND = "The cache service has not followed yet. Reads ask PostgreSQL for the version, and are right."


def advice(row: Row) -> str:
    return ADVICE.get(row.verdict[0], BEHIND)


def rows_of(cache: Browsable, keys: Sequence[str], uses: Mapping[str, float]) -> list[Row] | None:
    """A row for each key; None where Redis does not answer. Redis is asked before PostgreSQL, whose versions only
    rise: what seems ahead is ahead."""
    tiers = cache.cache()
    looked = tiers.shared.look(keys) if keys else []
    if looked is None:
        return None
    source = cache.source(keys) if keys else {}
    return [Row(cache, look, source.get(look.key), tiers.peek(look.key), uses.get(look.key)) for look in looked]


def life(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds:,.0f} s"


def details(row: Row) -> list[tuple[str, object]]:
    """Of one key, besides what the documents hold."""
    return [
        ("Pointer in Redis lives", life(row.look.pointer_life)),
        ("Document in Redis lives", life(row.look.document_life)),
        ("Bytes in Redis", NOTHING if row.look.size is None else f"{row.look.size:,}"),
        ("In this process, confirmed", f"{row.here[1]:,.0f} s ago" if row.here else NOTHING),
        ("Uses, halved at each warm-up", NOTHING if row.uses is None else f"{row.uses:,.0f}"),
    ]


KEYS = (
    Column("Key", lambda row: link(f"?key={row.pk}", short_id(row.pk))),
    Column("State", lambda row: badge(*row.verdict)),
    Column("Redis", lambda row: row.look.version or NOTHING, numeric=True),
    Column("PostgreSQL", lambda row: row.source.version if row.source else NOTHING, numeric=True),
    Column("Pointer lives", lambda row: life(row.look.pointer_life), numeric=True),
    Column("Document lives", lambda row: life(row.look.document_life), numeric=True),
    Column("Bytes", lambda row: NOTHING if row.look.size is None else row.look.size, numeric=True),
    Column("This process", lambda row: row.here[0].version if row.here else NOTHING, numeric=True),
    Column("Uses", lambda row: NOTHING if row.uses is None else f"{row.uses:,.0f}", numeric=True),
)

PROCESSES = (
    Column("Process", lambda seen: f"{seen.process['role']} {seen.process['pid']}"),
    Column("Documents in memory", lambda seen: f"{seen.facts.get('cache', {}).get('entries', 0):,}", numeric=True),
    Column("Breaker of Redis", lambda seen: breaker_badge(seen.facts.get("breakers", {}).get("redis", ""))),
    Column("Emptied (UTC)", lambda seen: at_unix(seen.facts.get("cache_emptied", {}).get("at"))),
)

TONES = {"closed": "good", "half_open": "warn", "open": "bad"}


def breaker_badge(state: str) -> object:
    return badge(state.replace("_", " "), TONES.get(state, "plain")) if state else NOTHING


def _marked(value: object, source: object) -> object:
    """What is held elsewhere than in PostgreSQL stands out where it differs."""
    return value if value in (source, NOTHING) else badge(value, "warn")


@dataclass(slots=True)
class Compared:
    """One key, looked up: what Redis holds, this process, and PostgreSQL, side by side."""

    row: Row
    headings: tuple[Column, ...] = field(init=False)
    rows: list[list[tuple[Column, object]]] = field(init=False)

    def __post_init__(self) -> None:
        self.headings = tuple(Column(title, str) for title in ("Field", "In Redis", "This process", "In PostgreSQL"))
        row = self.row
        documents = (row.look.document, row.here[0] if row.here else None, row.source)
        columns = [row.cache.shown(document.value) if document else {} for document in documents]
        names = dict.fromkeys(name for column in columns for name in column)
        versions = [document.version if document else NOTHING for document in documents]
        lines: list[list[object]] = [["Version", *versions]]
        lines += [[name, *(column.get(name, NOTHING) for column in columns)] for name in names]
        lines = [[name, *(_marked(value, source) for value in values), source] for name, *values, source in lines]
        self.rows = [list(zip(self.headings, line, strict=True)) for line in lines]

    @property
    def page(self) -> str:
        return page_of(self.row.cache.page, self.row.pk) if self.row.source else ""
