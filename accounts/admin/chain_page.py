"""The proof of an account: each link of its hash chain recomputed, and what follows from the events compared."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.cells import amount
from accounts.admin.fields import label_of, shown
from accounts.admin.tabs import tabs
from accounts.admin.timeline import in_words
from accounts.chain import (
    MOST_LINKS,
    Agreement,
    Link,
    head_agreements,
    hold_agreements,
    links,
    one_instant,
    row_agreements,
    whole_chain,
)
from accounts.explaining import FOLD_ERRORS
from accounts.models import Account
from eventstore import store
from ops.admin.keyset import position
from ops.admin.lists import Column
from ops.admin.procedure import ByJob, Plan
from ops.html import badge, link, page_of

PAGE = 20
TROUBLES = 10
"""Broken links that are told in words after a check of all."""
HEAD = "The head of the stream, which the next event is chained to"
ROW = "The account as pages and the API show it"
HOLDS = "Its holds as pages and the API show them"
MONEY_OF_A_HOLD = ("amount", "captured", "released")


def chain_context(request: HttpRequest, account: Account) -> dict[str, Any]:
    """`?after=` is where the page begins (the last links, unless given), `?all=1` checks all from the first on, and
    with them the holds, which only all events tell."""
    with one_instant():
        head = max(store.version_of(account.pk), 1)
        after = _after(request, head)
        shown_links = list(links(account.pk, after=after, upto=after + PAGE))
        whole = whole_chain(account.pk, TROUBLES) if "all" in request.GET else None
        holds_too = whole is not None and not whole.more
        context = {
            "title": f"{account.owner} · proof",
            "account": account,
            "tabs": tabs(request, account.pk, "chain"),
            "headings": LINKS,
            "rows": [[(column, column.cell(found)) for column in LINKS] for found in shown_links],
            "first": after + 1,
            "last": after + len(shown_links),
            "troubles": [found.trouble for found in shown_links if found.trouble],
            "agreements": _agreements(account, use_snapshots=whole is None, holds_too=holds_too),
            "agreement_headings": AGREEMENTS,
            "head": head,
            "most": MOST_LINKS,
            "all_url": f"{request.path}?all=1",
            "job_url": job_url(request, account),
            **_pages(request.path, head, after),
        }
        if whole is not None:
            context["whole"] = {
                "links": whole.links,
                "more": whole.more,
                "cut_off": whole.cut_off,
                "last": head - whole.cut_off,
                "troubles": [
                    (found.trouble, f"{request.path}?{urlencode({'after': _page_of(found.stored.version)})}")
                    for found in whole.troubles
                ],
            }
    return context


class VerifyChain(ByJob):
    """For streams that are too long for a page; and for whoever wants a report that stays."""

    action = job = "verify_chain"
    permission = "accounts.verify_ledger"
    button = "Check all links as a job"
    about = (
        "Recomputes every hash of the account's stream from the first event on, folds every event, and compares the "
        "head of the stream, the account and its holds with that. Changes nothing; the report stays."
    )
    command = "manage.py verify_ledger"

    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def subject(self) -> str:
        return f"account:{self.account.pk}"

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"account": str(self.account.pk)}

    def plan(self, data: dict[str, Any]) -> Plan:
        return Plan([f"{store.version_of(self.account.pk)} events of {self.account.owner} are read and recomputed."])


def job_url(request: HttpRequest, account: Account) -> str:
    """Of the dialog; "" for who may not."""
    may = request.user.has_perm(VerifyChain.permission)
    return reverse("admin:accounts_account_verify_chain", args=[account.pk]) if may else ""


def _after(request: HttpRequest, head: int) -> int:
    try:
        return min(position(request.GET.get("after", "")), head - 1)
    except ValueError:
        return _page_of(head)


def _page_of(version: int) -> int:
    """Where the page begins that holds a version."""
    return (version - 1) // PAGE * PAGE


def _pages(path: str, head: int, after: int) -> dict[str, Any]:
    """Versions have no holes, so the neighbours of a page are found by counting on."""

    def url(target: int) -> str:
        return f"{path}?{urlencode({'after': target})}"

    return {
        "first_url": url(0),
        "newer_url": url(max(after - PAGE, 0)) if after else None,
        "older_url": url(after + PAGE) if after + PAGE < head else None,
        "last_url": url(_page_of(head)),
    }


def _agreements(account: Account, *, use_snapshots: bool, holds_too: bool) -> list[dict[str, Any]]:
    """The head of the stream and the account's row, each a group that agrees or does not; and the rows of its holds
    where they do not."""
    groups = [(HEAD, head_agreements(account.pk))]
    cannot = ""
    try:
        groups.append((ROW, row_agreements(account.pk, use_snapshots=use_snapshots)))
        if holds_too and (wrong := hold_agreements(account.pk)):
            more = f", the first {PAGE} of {len(wrong)} values" if len(wrong) > PAGE else ""
            groups.append((f"{HOLDS}{more}", wrong[:PAGE]))
    except FOLD_ERRORS as error:
        cannot = f"The account as pages show it cannot be compared: its events cannot be folded ({error})."
    told = [
        {
            "title": title,
            "agrees": all(each.agrees for each in found),
            "rows": [
                [(column, column.cell((each, account.currency))) for column in AGREEMENTS]
                for each in found
                if not each.agrees
            ],
        }
        for title, found in groups
    ]
    return [*told, {"title": cannot, "agrees": False, "rows": []}] if cannot else told


def _event(found: Link) -> object:
    name = in_words(found.stored.event_type)
    return link(page_of("eventstore.event", found.stored.position), name)


def _hash(value: bytes) -> object:
    return format_html('<span class="b-hash">{}</span>', value.hex())


LINKS = (
    Column("Version", lambda found: found.stored.version, numeric=True),
    Column("Event", _event),
    Column("Stored hash", lambda found: _hash(found.stored.hash)),
    Column("Recomputed hash", lambda found: _hash(found.recomputed)),
    Column("Link", lambda found: badge("Broken", "bad") if found.trouble else badge("Holds", "good")),
)


def _label(pair: tuple[Agreement, str]) -> object:
    return label_of(pair[0].what)


def _value(what: str, value: object, currency: str) -> object:
    field, of_a_hold, _ = what.partition(" of hold ")
    if of_a_hold and field in MONEY_OF_A_HOLD and isinstance(value, int):
        return amount(value, currency)
    return shown(what, value, currency)


AGREEMENTS = (
    Column("Field", _label),
    Column("It says", lambda pair: _value(pair[0].what, pair[0].says, pair[1])),
    Column("The events make", lambda pair: _value(pair[0].what, pair[0].events_make, pair[1])),
)
