"""The page "Cache": how both tiers do, what is cached of a key beside what PostgreSQL says, evicting and warming."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from ops import board
from ops.access.permissions import RESET_POOL, VIEW_OPERATIONS
from ops.admin.audited import require_permission
from ops.admin.cache_procedures import EvictEverything, EvictKeys, Warm
from ops.admin.cache_tables import KEYS, PROCESSES, Compared, Row, advice, details, rows_of
from ops.admin.lists import PICK, choice_filter, text_filter
from ops.admin.procedure import Procedure, run
from ops.admin.readonly import ReadOnlyAdmin
from ops.admin.selection import ALL, SelectionTool, selected
from ops.audit import viewings
from ops.cache.registry import Browsable, browsable, names
from ops.conf import get_settings
from ops.health.memory import cache_values
from ops.html import NOTHING
from ops.models import CacheAccess

SHOWN = 50
"""Keys of one list."""
SCANNED_FOR = 0.5
"""Seconds in which keys are looked for in Redis."""
LISTS = [("used", "Most used"), ("shared", "Some in Redis"), ("here", "In this process")]


class KeyFilters(forms.Form):
    """What is looked up: one key, or a list of them."""

    key = text_filter("Key", placeholder="id")
    show = choice_filter("Show", LISTS[1:])

    def __init__(self, data: Any, cache: Browsable) -> None:
        super().__init__(data)
        self._cache = cache
        self.fields["key"].label = cache.key_label
        show = self.fields["show"]
        assert isinstance(show, forms.ChoiceField)
        show.choices = [("", LISTS[0][1]), *LISTS[1:]]

    def clean_key(self) -> str:
        text = str(self.cleaned_data["key"]).strip()
        try:
            return self._cache.parse(text) if text else ""
        except ValueError:
            raise forms.ValidationError("Write the whole id, such as 0190a1b2-…") from None

    @property
    def given(self) -> dict[str, str]:
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


@dataclass(frozen=True, slots=True)
class Found:
    """The rows to show, or none because Redis does not answer."""

    rows: list[Row]
    redis_answers: bool


@admin.register(CacheAccess)
class CacheAdmin(ReadOnlyAdmin):
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(VIEW_OPERATIONS))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="ops_cacheaccess_changelist"),
            path("<slug:cache>/evict/", view(self.evict_view), name="ops_cache_evict"),
            path("<slug:cache>/warm/", view(self.warm_view), name="ops_cache_warm"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        cache = browsable(names()[0])
        form = KeyFilters(request.GET, cache)
        found = _found(cache, form) if form.is_valid() else Found([], True)
        viewings.note(request, what=self.opts.label_lower, filters=form.given, rows=len(found.rows))
        may_act = request.user.has_perm(RESET_POOL)
        columns = (*KEYS, PICK) if may_act else KEYS
        tiers = cache.cache().shared.stats()
        context = {
            "title": "Cache",
            "cache": cache,
            "form": form,
            "is_narrowed": bool(form.given),
            "answers": tiers["size"] is not None and found.redis_answers,
            "figures": _figures(tiers),
            "processes": [[(column, column.cell(seen)) for column in PROCESSES] for seen in _with_memory()],
            "process_headings": PROCESSES,
            "headings": columns,
            "rows": [[(column, column.cell(row)) for column in columns] for row in found.rows],
            "one": self._one(request, form, found.rows),
            "tools": self._tools(cache) if may_act else [],
            "selection": self._selection(cache) if may_act and found.rows else [],
        }
        return self.render(request, "ops/cache.html", context)

    def _one(self, request: HttpRequest, form: KeyFilters, rows: Sequence[Row]) -> dict[str, Any] | None:
        """What is known of the one key that was asked for; what the documents hold, for who may see the objects."""
        if not form.is_valid() or not form.cleaned_data["key"] or not rows:
            return None
        row = rows[0]
        may_see = request.user.has_perm(row.cache.view_permission)
        return {
            "row": row,
            "advice": advice(row),
            "details": details(row),
            "compared": Compared(row) if may_see and (row.look.document or row.source or row.here) else None,
        }

    def _tools(self, cache: Browsable) -> list[dict[str, str]]:
        return [
            {"label": Warm.button, "url": reverse("admin:ops_cache_warm", args=[cache.name]), "tone": "primary"},
            {
                "label": EvictEverything.button,
                "url": f"{reverse('admin:ops_cache_evict', args=[cache.name])}?on={ALL}",
                "tone": "danger-quiet",
            },
        ]

    def _selection(self, cache: Browsable) -> list[SelectionTool]:
        url = reverse("admin:ops_cache_evict", args=[cache.name])
        return [SelectionTool(EvictKeys.button, url, EvictEverything.button)]

    def evict_view(self, request: HttpRequest, cache: str) -> HttpResponse:
        require_permission(request, RESET_POOL, EvictKeys.action, f"cache:{cache}")
        known = _known(cache)
        keys = selected(request, known.parse)
        if keys is None:
            messages.warning(request, "Nothing is selected. Tick the keys in the list first.")
            return HttpResponseRedirect(_here())
        procedure: Procedure = EvictEverything(known) if isinstance(keys, str) else EvictKeys(known, keys)
        return run(self, request, procedure, back=_here())

    def warm_view(self, request: HttpRequest, cache: str) -> HttpResponse:
        require_permission(request, RESET_POOL, Warm.action, f"cache:{cache}")
        return run(self, request, Warm(_known(cache)), back=_here())


def _known(name: str) -> Browsable:
    try:
        return browsable(name)
    except LookupError:
        raise Http404(f"There is no cache {name}.") from None


def _found(cache: Browsable, form: KeyFilters) -> Found:
    tiers, uses = cache.cache(), dict(cache.most_used(SHOWN))
    if key := form.cleaned_data["key"]:
        keys = [key]
    elif form.cleaned_data["show"] == "shared":
        keys = tiers.shared.some_keys(SHOWN, within=SCANNED_FOR)
    elif form.cleaned_data["show"] == "here":
        keys = tiers.held_here(SHOWN)
    else:
        keys = list(uses)
    rows = rows_of(cache, [key for key in keys if _is_key(cache, key)], uses)
    return Found(rows or [], rows is not None)


def _is_key(cache: Browsable, text: str) -> bool:
    """Whether what stands in Redis is a key of ours: anybody may have written there."""
    try:
        return cache.parse(text) == text
    except ValueError:
        return False


def _with_memory() -> list[board.Seen]:
    return [seen for seen in board.boards() if "cache" in seen.facts][:SHOWN]


def _figures(tiers: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What each tier did in the last minutes, and holds now; by heading."""
    values = cache_values()
    own, shared = values["l1"], values["l2"]
    settings = get_settings()
    calls = values["failure_rate"]
    return {
        "Memory of the processes": [
            ("Hit rate", _share(own["hit_rate"])),
            ("Hits", f"{own['hits']:,}"),
            ("Misses", f"{own['misses']:,}"),
            ("Made room for others", f"{own['evictions']:,}"),
            ("Documents", f"{own['entries']:,}"),
            ("At most, each process", f"{own['max_entries_each']:,}"),
        ],
        "Redis": [
            ("Hit rate", _share(shared["hit_rate"])),
            ("Hits", f"{shared['hits']:,}"),
            ("Misses", f"{shared['misses']:,}"),
            ("Calls that failed", "few calls yet" if calls is None else f"{calls:.1%}"),
            ("Breaker, this process", tiers["breaker"].replace("_", " ")),
            ("Keys", _number(tiers["size"])),
            ("Memory used", _megabytes(tiers["memory_bytes"])),
            ("Memory, at most", _megabytes(tiers["max_memory_bytes"]) if tiers["max_memory_bytes"] else "no limit"),
            ("Dropped for want of memory", _number(tiers["evictions"])),
            ("Dropped at their end", _number(tiers["expirations"])),
            ("A document lives", f"{settings.cache_default_ttl:,} s"),
        ],
    }


def _share(rate: float | None) -> str:
    return "none read" if rate is None else f"{rate:.1%}"


def _number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _megabytes(value: int | None) -> str:
    return NOTHING if value is None else f"{value / 1_048_576:,.1f} MiB"


def _here() -> str:
    return reverse("admin:ops_cacheaccess_changelist")
