""" "Why is this balance so": the fold step by step, down to the snapshot that it begins with."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from accounts.admin.cells import amount, transaction_link
from accounts.admin.fields import label_of, shown
from accounts.admin.tabs import tabs, version_asked
from accounts.admin.timeline import in_words
from accounts.explaining import Fold, Step, TooFar, base_of, fold
from accounts.models import Account
from ops.admin.lists import Column
from ops.html import NOTHING, link, page_of, when

PAGE = 50


def fold_context(request: HttpRequest, account: Account) -> dict[str, Any]:
    """`?version=` is what is to be explained (the account's own, unless given), `?after=` where the page begins,
    `?from=start` leaves snapshots aside."""
    version = min(version_asked(request, "version") or account.version, account.version)
    from_start = request.GET.get("from") == "start"
    base = base_of(account.pk, version, from_start=from_start)
    start = base.version if base else 0
    after = min(max(version_asked(request, "after"), start), version - 1)
    context = {
        "title": f"{account.owner} · why this balance",
        "account": account,
        "tabs": tabs(request, account.pk, "fold"),
        "version": version,
        "is_now": version == account.version,
        "start": start,
        "from_start": from_start,
        "count": version - start,
        "here": request.path,
    }
    if base is not None:
        context["base"] = {
            "balance": amount(base.state.balance, account.currency),
            "available": amount(base.state.available, account.currency),
            "status": shown("status", base.state.status, account.currency),
        }
    try:
        folded = fold(account.pk, version, base=base, after=after, limit=PAGE)
    except TooFar as error:
        return {**context, "broken": str(error)}
    return {**context, **_steps(request, account, folded), **_pages(request, version, start, after)}


def _steps(request: HttpRequest, account: Account, folded: Fold) -> dict[str, Any]:
    columns = _columns(account.currency, linked=request.user.has_perm("eventstore.view_event"))
    context: dict[str, Any] = {
        "headings": columns,
        "rows": [[(column, column.cell(step)) for column in columns] for step in folded.steps],
        "broken": folded.broken,
    }
    last = folded.steps[-1] if folded.steps else None
    if last is not None and last.state.version == folded.version:
        context["result"] = amount(last.state.balance, account.currency)
        context["agrees"] = account.version != folded.version or last.state.balance == account.balance
        context["told"] = amount(account.balance, account.currency)
    return context


def _columns(currency: str, *, linked: bool) -> tuple[Column, ...]:
    def event(step: Step) -> object:
        name = in_words(step.stored.event_type)
        return link(page_of("eventstore.event", step.stored.position), name) if linked else name

    def moved(step: Step) -> object:
        money = step.stored.data.get("amount")
        return amount(money, currency) if isinstance(money, int) and money else NOTHING

    return (
        Column("Version", lambda step: step.stored.version, numeric=True),
        Column("Event", event),
        Column("What it changed", lambda step: _changes(step, currency)),
        Column("Amount", moved, numeric=True),
        Column("Balance after it", lambda step: amount(step.state.balance, currency), numeric=True),
        Column("Recorded (UTC)", lambda step: when(step.stored.timestamp)),
        Column("Transaction", lambda step: transaction_link(step.stored.command_id)),
    )


def _changes(step: Step, currency: str) -> object:
    return (
        format_html_join(
            "",
            "<div>{}: {}</div>",
            (
                (label_of(change.field), _from_to(change.field, change.before, change.after, currency))
                for change in step.changes
            ),
        )
        or "nothing but the version"
    )


def _from_to(name: str, before: Any, after: Any, currency: str) -> object:
    if before is None:
        return shown(name, after, currency)
    return format_html("{} → {}", shown(name, before, currency), shown(name, after, currency))


def _pages(request: HttpRequest, version: int, start: int, after: int) -> dict[str, Any]:
    """Versions have no holes, so the neighbours of a page are found by counting on."""

    def url(target: int) -> str:
        kept = {name: request.GET[name] for name in ("version", "from") if request.GET.get(name)}
        return f"{request.path}?{urlencode({**kept, 'after': target})}"

    last = start + (version - start - 1) // PAGE * PAGE
    return {
        "first_url": url(start),
        "newer_url": url(max(after - PAGE, start)) if after > start else None,
        "older_url": url(after + PAGE) if after + PAGE < version else None,
        "last_url": url(last),
    }
