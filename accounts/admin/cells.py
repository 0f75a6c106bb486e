"""Cells that lists of money share."""

from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.domain.account import Status
from accounts.domain.journal import ACCOUNT_PREFIX
from accounts.domain.money import format_minor
from accounts.models import Account
from ops.admin.lists import Column
from ops.html import NOTHING, Html, badge, link, page_of, short_id

STATUS_TONES = {Status.OPEN: "good", Status.FROZEN: "warn", Status.CLOSED: "plain"}


def status_badge(status: str) -> SafeString:
    return badge(status.capitalize(), STATUS_TONES.get(Status(status), "plain"))


def amount(minor: int, currency: str) -> Html:
    """A signed amount with its currency; what is owed stands out. Plain, it is the number alone."""
    tone, figure = "b-debit" if minor < 0 else "", format_minor(minor, currency)
    html = format_html('<span class="{}">{}</span> <span class="b-muted">{}</span>', tone, figure, currency)
    return Html(html, Decimal(figure))


def balances(account: Account) -> list[tuple[str, object]]:
    """The figures of an account, as staff decide on them."""
    return [
        ("Ledger balance", amount(account.balance, account.currency)),
        ("Available", amount(account.available, account.currency)),
        ("Overdraft limit", amount(account.overdraft_limit, account.currency)),
        ("Held", amount(account.held, account.currency)),
    ]


def account_url(account_id: UUID | str) -> str:
    return page_of("accounts.account", account_id)


def transaction_url(transaction_id: UUID | str) -> str:
    return reverse("admin:accounts_transaction_page", args=[transaction_id])


def account_link(account_id: UUID | str) -> SafeString:
    return link(account_url(account_id), short_id(account_id))


def transaction_link(transaction_id: UUID | str | None) -> SafeString | str:
    return link(transaction_url(transaction_id), short_id(transaction_id)) if transaction_id else NOTHING


def hold_url(hold_id: UUID | str) -> str:
    return page_of("accounts.hold", hold_id)


def hold_link(hold_id: UUID | str) -> SafeString:
    return link(hold_url(hold_id), short_id(hold_id))


def audit_facts(request: HttpRequest, subject: str) -> list[tuple[str, object]]:
    """For a page's facts: a link to what staff did about it, for those who may read that."""
    if not request.user.has_perm("ops.view_auditentry"):
        return []
    url = f"{reverse('admin:ops_auditentry_changelist')}?{urlencode({'subject': subject})}"
    return [("What staff did", link(url, "audit entries"))]


def ledger_account(name: str) -> SafeString | str:
    """A ledger account's name: a link where it is a customer's, plain where it is the bank's own."""
    return account_link(name.removeprefix(ACCOUNT_PREFIX)) if name.startswith(ACCOUNT_PREFIX) else name


CURRENCY = Column("Currency", lambda row: row.currency)
"""For exports: there an amount is the number alone."""
