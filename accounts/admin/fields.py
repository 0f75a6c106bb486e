"""The fields of an account's state, by name: what each is called, and how its value is shown."""

from datetime import datetime
from typing import Any

from accounts.admin.cells import amount, status_badge
from accounts.domain.products import PRODUCTS
from ops.html import when

LABELS = {
    "version": "Version",
    "status": "Status",
    "balance": "Ledger balance",
    "available": "Available",
    "overdraft_limit": "Overdraft limit",
    "held": "Held",
    "owner": "Owner",
    "product": "Product",
    "currency": "Currency",
    "custodian": "In the care of",
    "opened_at": "Opened (UTC)",
    "updated_at": "Changed (UTC)",
    "id": "Account id",
}
MONEY = frozenset({"balance", "available", "overdraft_limit", "held"})


def label_of(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def shown(name: str, value: Any, currency: str) -> object:
    """A value of a field; amounts are minor units of `currency`. A dash for none."""
    if value is None:
        return "–"
    if name in MONEY:
        return amount(value, currency)
    if name == "status":
        return status_badge(value)
    if name == "product":
        return PRODUCTS[value].name if value in PRODUCTS else value
    return when(value) if isinstance(value, datetime) else value


def difference(name: str, then: Any, now: Any, currency: str) -> object:
    """From then to now: by how much, where that can be counted, else whether it changed."""
    if then == now:
        return "the same"
    if name in MONEY:
        return amount(now - then, currency)
    return f"{now - then:+d}" if name == "version" else "changed"
