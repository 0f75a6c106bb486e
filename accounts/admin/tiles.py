"""The overview's tile of the books."""

from typing import Any

from django.template.defaultfilters import pluralize

from ops.overview import Tile, Values, register_tiles


def _books(values: Values) -> str:
    if values["differences"] is None:
        return "never proved"
    found: Any = values["differences"]
    return f"{found} difference{pluralize(found)}" if found else "in balance"


def _proved(values: Values) -> str:
    """When the last proof was made. (A tile is a link, and a moment in it is no element of its own: so UTC.)"""
    return f"proved {values['proved_at'][:16].replace('T', ' ')} UTC" if values["proved_at"] else ""


register_tiles(
    Tile("ledger", "The books", _books, "admin:accounts_ledgerproof_changelist", "accounts.view_ledgerproof", _proved)
)
