"""The pages of accounts and money. Money moves only by the commands under `commands`."""

from accounts.admin import accounts, holds, imports, interest, ledger, tiles, transactions, trial_balance

__all__ = ["accounts", "holds", "imports", "interest", "ledger", "tiles", "transactions", "trial_balance"]
