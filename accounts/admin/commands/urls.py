"""Where the forms hang: below an account, a transaction or a hold, and one that opens an account."""

from functools import partial
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.admin.commands.pages import ACCOUNT_COMMANDS, HOLD_COMMANDS, OPEN, REVERSE, CommandPage
from accounts.admin.commands.subject import Subject
from accounts.admin.commands.views import command_view, require_permission
from accounts.domain.events import POSTING_TYPES
from accounts.models import Account, Hold
from eventstore.models import Event
from ops.admin.readonly import ReadOnlyAdmin


def account_urls(admin: ReadOnlyAdmin) -> list[URLPattern]:
    view = admin.admin_site.admin_view
    below = [
        path(f"<uuid:account_id>/{page.path}/", view(partial(on_account, admin, page)), name=page.url_name)
        for page in ACCOUNT_COMMANDS
    ]
    return [path("open/", view(partial(on_nothing, admin)), name="accounts_account_open"), *below]


def transaction_urls(admin: ReadOnlyAdmin) -> list[URLPattern]:
    view = admin.admin_site.admin_view(partial(on_transaction, admin))
    return [path("of/<uuid:transaction_id>/reverse/", view, name="accounts_transaction_reverse")]


def hold_urls(admin: ReadOnlyAdmin) -> list[URLPattern]:
    view = admin.admin_site.admin_view
    return [
        path(f"<uuid:hold_id>/{page.path}/", view(partial(on_hold, admin, page)), name=page.url_name)
        for page in HOLD_COMMANDS
    ]


def on_account(admin: ReadOnlyAdmin, page: CommandPage, request: HttpRequest, account_id: UUID) -> HttpResponse:
    require_permission(request, page, f"account:{account_id}")
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise Http404(f"There is no account {account_id}.")
    return command_view(admin, request, page, Subject(account))


def on_hold(admin: ReadOnlyAdmin, page: CommandPage, request: HttpRequest, hold_id: UUID) -> HttpResponse:
    require_permission(request, page, f"hold:{hold_id}")
    hold = Hold.objects.filter(pk=hold_id).first()
    account = Account.objects.filter(pk=hold.account_id).first() if hold else None
    if hold is None or account is None:
        raise Http404(f"There is no hold {hold_id}.")
    return command_view(admin, request, page, Subject(account, hold=hold))


def on_nothing(admin: ReadOnlyAdmin, request: HttpRequest) -> HttpResponse:
    require_permission(request, OPEN, "account:new")
    return command_view(admin, request, OPEN, Subject())


def on_transaction(admin: ReadOnlyAdmin, request: HttpRequest, transaction_id: UUID) -> HttpResponse:
    """The account whose version counts is that of the transaction's first posting."""
    require_permission(request, REVERSE, f"transaction:{transaction_id}")
    postings = Event.objects.filter(command_id=transaction_id, event_type__in=POSTING_TYPES).only("aggregate_id")
    first = postings.order_by("position").first()
    account = Account.objects.filter(pk=first.aggregate_id).first() if first else None
    if account is None:
        raise Http404(f"There is no transaction {transaction_id}.")
    return command_view(admin, request, REVERSE, Subject(account, transaction_id))
