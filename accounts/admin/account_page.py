"""What an account's page shows: its state, what may be done, its timeline and its last transactions."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from accounts.admin.balance_chart import MOST_POINTS, balance_chart
from accounts.admin.cells import amount, audit_facts, balances, status_badge, transaction_link
from accounts.admin.commands.pages import ACCOUNT_COMMANDS
from accounts.admin.holds import OF_AN_ACCOUNT, open_holds
from accounts.admin.tabs import tabs
from accounts.admin.timeline import in_words, timeline_entry
from accounts.domain.account import Status
from accounts.models import Account, Transaction
from eventstore.admin.events import BY_VERSION
from eventstore.admin.repairs import repairs_of
from eventstore.models import Event
from ops.admin.keyset import BadCursor, read_page
from ops.admin.lists import Column
from ops.html import day, link, page_of, when

TIMELINE_SIZE = 20
STATEMENT_SIZE = 10

STATEMENT_COLUMNS = (
    Column("Recorded (UTC)", lambda row: when(row.recorded_at)),
    Column("Kind", lambda row: in_words(row.kind)),
    Column("Amount", lambda row: amount(row.amount, row.currency), numeric=True),
    Column("Balance", lambda row: amount(row.balance, row.currency), numeric=True),
    Column("Value date", lambda row: day(row.value_date)),
    Column("Description", lambda row: row.description or "–"),
    Column("Transaction", lambda row: transaction_link(row.transaction_id)),
)


def account_context(request: HttpRequest, account: Account) -> dict[str, Any]:
    events = Event.objects.filter(aggregate_id=account.pk).defer("hash")
    try:
        page = read_page(events, BY_VERSION, request.GET.dict(), TIMELINE_SIZE)
    except BadCursor:
        page = read_page(events, BY_VERSION, {}, TIMELINE_SIZE)
    may_see_events = request.user.has_perm("eventstore.view_event")
    may_see_statement = request.user.has_perm("accounts.view_transaction")
    statement = list(Transaction.objects.filter(account_id=account.pk).order_by("-version")[:MOST_POINTS])
    here = page_of("accounts.account", account.pk)
    return {
        "title": f"{account.owner} · {account.currency}",
        "account": account,
        "tabs": tabs(request, account.pk, "change"),
        "history": balance_chart(request, account, statement if may_see_statement else ()),
        "figures": balances(account),
        "facts": facts(request, account),
        "commands": allowed_commands(request, account),
        "repairs": repairs_of(request, account.pk),
        "timeline": [timeline_entry(event, account.currency, linked=may_see_events) for event in page.rows],
        "hold_headings": OF_AN_ACCOUNT,
        "holds": [[(column, column.cell(hold)) for column in OF_AN_ACCOUNT] for hold in open_holds(account)]
        if request.user.has_perm("accounts.view_hold")
        else None,
        "holds_url": f"{reverse('admin:accounts_hold_changelist')}?account={account.pk}",
        "statement_headings": STATEMENT_COLUMNS,
        "statement": [
            [(column, column.cell(row)) for column in STATEMENT_COLUMNS] for row in statement[:STATEMENT_SIZE]
        ]
        if may_see_statement
        else None,
        "statement_url": f"{reverse('admin:accounts_transaction_changelist')}?account={account.pk}",
        "page": page,
        "first_url": here,
        "newer_url": page.newer and _url(here, page.newer),
        "older_url": page.older and _url(here, page.older),
        "last_url": _url(here, {"end": "1"}),
    }


def facts(request: HttpRequest, account: Account) -> list[tuple[str, object]]:
    stream: object = account.version
    if request.user.has_perm("eventstore.view_event"):
        url = f"{reverse('admin:eventstore_event_changelist')}?stream={account.pk}"
        stream = link(url, f"{account.version} events")
    return [
        ("Account id", account.pk),
        ("Status", status_badge(account.status)),
        ("Owner", account.owner),
        ("Product", account.get_product_display()),
        ("In the care of", account.custodian),
        ("Opened (UTC)", when(account.opened_at)),
        ("Changed (UTC)", when(account.updated_at)),
        ("Version", stream),
        *_interest_of(request, account),
        *audit_facts(request, f"account:{account.pk}"),
    ]


def _interest_of(request: HttpRequest, account: Account) -> list[tuple[str, object]]:
    if not request.user.has_perm("accounts.view_interest"):
        return []
    url = f"{reverse('admin:accounts_interest_changelist')}?account={account.pk}"
    return [("Interest", link(url, "earned and owed, by month"))]


def allowed_commands(request: HttpRequest, account: Account) -> list[dict[str, Any]]:
    """Buttons: what this user may do and this account's status allows."""
    return [
        {"label": page.title, "url": page.url(account.pk), "is_dangerous": page.is_dangerous}
        for page in ACCOUNT_COMMANDS
        if request.user.has_perm(page.permission) and Status(account.status) in page.statuses
    ]


def _url(here: str, cursor: Any) -> str:
    return f"{here}?{urlencode(dict(cursor))}"
