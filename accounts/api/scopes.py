"""What an API key may do with accounts and money. `accounts.apps` registers them with the ground floor."""

from ops.access.scopes import register_scope

ACCOUNTS_READ = "accounts:read"
ACCOUNTS_WRITE = "accounts:write"
ACCOUNTS_ADMIN = "accounts:admin"
PAYMENTS_WRITE = "payments:write"
WEBHOOKS_MANAGE = "webhooks:manage"


def register() -> None:
    register_scope(ACCOUNTS_READ, "Read accounts, balances, holds, events and transactions")
    register_scope(ACCOUNTS_WRITE, "Open and close accounts")
    register_scope(PAYMENTS_WRITE, "Deposit, withdraw and transfer; place, extend, capture and release holds")
    register_scope(WEBHOOKS_MANAGE, "Have events of accounts sent to addresses of its own")
    register_scope(ACCOUNTS_ADMIN, "Freeze and unfreeze, grant overdrafts, reverse transactions")
