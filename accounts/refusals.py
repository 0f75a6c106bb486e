"""What a refusal says to staff, who may see every account: the API's clients are told its facts as data."""

from accounts.domain.errors import Refusal
from accounts.models import Account

FIGURES = {"available": "Available are", "balance": "The balance is", "held": "Held are"}
"""How the figures of a refusal are told; each is in the currency that it names."""


def in_full(refusal: Refusal, *, names_account: bool = True) -> str:
    """The message with the account that is the reason, as pages name it, and its figures. Without `names_account`
    where that is the one that the page is about."""
    extra = refusal.extra
    figures = [f"{words} {extra[name]} {extra['currency']}." for name, words in FIGURES.items() if name in extra]
    return " ".join([refusal.message, *(_account(refusal) if names_account else ()), *figures])


def _account(refusal: Refusal) -> list[str]:
    account_id = refusal.extra.get("account_id")
    account = Account.objects.filter(pk=account_id).first() if account_id else None
    return [f"It is the account of {account.owner}, {account.pk}."] if account else []
