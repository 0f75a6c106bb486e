"""The pages of accounts and money. Money moves only by the commands under `commands`."""

from accounts.admin import accounts, imports, ledger, tiles, transactions

__all__ = ["accounts", "imports", "ledger", "tiles", "transactions"]
