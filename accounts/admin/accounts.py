"""Accounts: the list with its search, and what hangs below an account."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.db.models.functions import Collate, Lower
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from accounts.admin.account_page import account_context
from accounts.admin.cells import CURRENCY, account_url, amount, status_badge, transaction_url
from accounts.admin.chain_page import VerifyChain, chain_context
from accounts.admin.commands import urls as command_urls
from accounts.admin.fold_page import fold_context
from accounts.admin.statement_page import statement_context
from accounts.admin.tabs import found_account
from accounts.admin.time_travel import time_travel_context
from accounts.domain.account import AGGREGATE_TYPE, Status
from accounts.domain.currencies import EXPONENTS
from accounts.domain.products import PRODUCTS
from accounts.models import Account
from eventstore.admin.links import Pages, register_pages
from eventstore.admin.repairs import selection_of
from ops.admin.audited import require_permission
from ops.admin.keyset import BY_ID, Keyset, text_key
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter, text_filter
from ops.admin.procedure import run
from ops.admin.selection import SelectionTool
from ops.html import link, short_id, when

BY_OWNER = Keyset(("owner_key", "pk"), (text_key, UUID), descending=False)

register_pages(AGGREGATE_TYPE, Pages(aggregate=account_url, command=transaction_url))


class AccountFilters(Filters):
    search = text_filter(
        "Owner or account id",
        placeholder="Ann, or an id",
        help_text="The beginning of a name, or a whole id.",
        max_length=200,
    )
    status = choice_filter("Status", [(status.value, status.value.capitalize()) for status in Status])
    currency = choice_filter("Currency", [(code, code) for code in sorted(EXPONENTS)])
    product = choice_filter("Product", [(product.code, product.name) for product in PRODUCTS.values()])

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        """A search by name reads the index on it, in its order."""
        data = self.cleaned_data
        queryset = queryset.filter(**{name: data[name] for name in ("status", "currency", "product") if data[name]})
        if not data["search"]:
            return queryset, keyset
        if (account_id := as_uuid(data["search"])) is not None:
            return queryset.filter(pk=account_id), keyset
        found = queryset.annotate(owner_key=Collate(Lower(F("owner")), "C"))
        return found.filter(owner_key__startswith=data["search"].lower()), BY_OWNER


def as_uuid(text: str) -> UUID | None:
    try:
        return forms.UUIDField().clean(text)
    except forms.ValidationError:
        return None


Context = Callable[[HttpRequest, Account], dict[str, Any]]
PAGES_BELOW: dict[str, tuple[str, tuple[str, Context, str]]] = {
    "statement": ("statement", ("accounts/statement.html", statement_context, "accounts.view_transaction")),
    "as_of": ("as-of", ("accounts/as_of.html", time_travel_context, "accounts.view_account")),
    "fold": ("fold", ("accounts/fold.html", fold_context, "accounts.view_account")),
    "chain": ("chain", ("accounts/chain.html", chain_context, "eventstore.view_event")),
}
"""Read-only pages of one account: the URL's name and path, the template, what it shows, and who may see it."""


@admin.register(Account)
class AccountAdmin(KeysetAdmin):
    about = "All accounts, newest first."
    when_empty = "Open the first account: its history begins with that."
    object_template = "accounts/account.html"
    keyset = BY_ID
    filters = AccountFilters
    columns = (
        Column("Owner", lambda account: link(account_url(account.pk), account.owner)),
        Column("Account", lambda account: short_id(account.pk)),
        Column("Status", lambda account: status_badge(account.status)),
        Column("Product", lambda account: account.get_product_display()),
        Column("Balance", lambda account: amount(account.balance, account.currency), numeric=True),
        Column("Available", lambda account: amount(account.available, account.currency), numeric=True),
        Column("Opened (UTC)", lambda account: when(account.opened_at)),
    )
    export_also = (CURRENCY,)

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        below = [
            path(f"<uuid:account_id>/{url}/", view(self._view_of(*page)), name=f"accounts_account_{name}")
            for name, (url, page) in PAGES_BELOW.items()
        ]
        verify = path(
            "<uuid:account_id>/verify-chain/", view(self.verify_chain_view), name="accounts_account_verify_chain"
        )
        return [*below, verify, *command_urls.account_urls(self)]

    def verify_chain_view(self, request: HttpRequest, account_id: UUID) -> HttpResponse:
        require_permission(request, VerifyChain.permission, VerifyChain.action, f"account:{account_id}")
        back = reverse("admin:accounts_account_chain", args=[account_id])
        return run(self, request, VerifyChain(found_account(account_id)), back=back)

    def _view_of(self, template: str, context: Context, permission: str) -> Callable[..., HttpResponse]:
        def show(request: HttpRequest, account_id: UUID) -> HttpResponse:
            if (refused := self.require_view(request)) is not None:
                return refused
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return self.render(request, template, context(request, found_account(account_id)))

        return show

    def selection(self, request: HttpRequest) -> list[SelectionTool]:
        """An account's id is that of its stream."""
        return selection_of(request)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm("accounts.open_account")
        return {"tools": [{"label": "Open an account", "url": reverse("admin:accounts_account_open")}] if may else []}

    def object_context(self, request: HttpRequest, obj: Account) -> dict[str, Any]:
        return account_context(request, obj)
