"""The overview's tile of the books."""

from ops.overview import Tile, Values, register_tiles


def _books(values: Values) -> str:
    if values["differences"] is None:
        return "never proved"
    proved = f"proved {values['proved_at'][:16].replace('T', ' ')} UTC"
    return f"{values['differences']} differences, {proved}" if values["differences"] else f"in balance, {proved}"


register_tiles(
    Tile("ledger", "The books", _books, "admin:accounts_ledgerproof_changelist", "accounts.view_ledgerproof")
)
