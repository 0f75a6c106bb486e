"""The pages of one account: what leads from each of them to the others."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.urls import reverse

from accounts.models import Account
from ops.admin.keyset import position

PAGES = (
    ("change", "Account", "accounts.view_account"),
    ("statement", "Statement", "accounts.view_transaction"),
    ("as_of", "As of a moment", "accounts.view_account"),
    ("fold", "Why this balance", "accounts.view_account"),
    ("chain", "Proof", "eventstore.view_event"),
)
"""Name of the URL, label, and who may see it."""


def tab_url(name: str, account_id: UUID | str) -> str:
    return reverse(f"admin:accounts_account_{name}", args=[account_id])


def tabs(request: HttpRequest, account_id: UUID, here: str) -> list[dict[str, Any]]:
    """What this user may see, with the page that is shown marked."""
    return [
        {"label": label, "url": tab_url(name, account_id), "is_here": name == here}
        for name, label, permission in PAGES
        if request.user.has_perm(permission)
    ]


def version_asked(request: HttpRequest, name: str) -> int:
    """A version from the address; 0 where there is none, or nonsense."""
    try:
        return position(request.GET.get(name, ""))
    except ValueError:
        return 0


def found_account(account_id: UUID) -> Account:
    """
    Raises:
        Http404: there is no such account.
    """
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        raise Http404(f"There is no account {account_id}.")
    return account
