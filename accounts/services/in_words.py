"""What a command says, for people: amounts as they are written, accounts with their owners."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET

from accounts.domain.commands import Command, OpenAccount
from accounts.domain.money import Money
from accounts.models import Account, Hold

LABELS = {
    "account_id": "Account",
    "target_id": "To account",
    "hold_id": "Hold",
    "transaction_id": "Transaction",
    "is_final": "Final",
}
"""Of fields that are not called as people call them."""


def in_words(command: Command) -> Sequence[tuple[str, str]]:
    """Each field that says something, with its name."""
    fields = [(name, getattr(command, name)) for name in command.__struct_fields__]
    return [
        (LABELS.get(name, name.replace("_", " ").capitalize()), _in_words(command, name, value))
        for name, value in fields
        if value not in (None, UNSET, "")
    ]


def _in_words(command: Command, name: str, value: Any) -> str:
    if name in ("account_id", "target_id"):
        return whose(value)
    if name == "hold_id":
        hold = Hold.objects.filter(pk=value).first()
        return f"{value}, on the account of {whose(hold.account_id)}" if hold else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and isinstance(command, OpenAccount):
        return str(Money(value, command.currency))
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return str(value)


def whose(account_id: UUID) -> str:
    owner = Account.objects.filter(pk=account_id).values_list("owner", flat=True).first()
    return f"{owner or 'new'}, {account_id}"
