"""Registers with the floors below what accounts bring."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import drills, health
        from accounts.aggregate import ACCOUNT
        from accounts.api import scopes
        from accounts.projections.accounts import AccountsInline
        from accounts.projections.daily_balances import DailyBalances
        from accounts.projections.journal import Journal
        from accounts.projections.transactions import Transactions
        from accounts.projections.webhooks import Webhooks
        from eventstore import projections, registry

        registry.register(ACCOUNT)
        scopes.register()
        health.register()
        drills.register()
        for projection in (AccountsInline(), Transactions(), Journal(), DailyBalances(), Webhooks()):
            projections.register(projection)
