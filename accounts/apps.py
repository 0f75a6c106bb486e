"""Registers with the floors below what accounts bring."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import browsing, drills, health, jobs
        from accounts.aggregate import ACCOUNT
        from accounts.api import scopes
        from accounts.projections.accounts import AccountsInline
        from accounts.projections.daily_balances import DailyBalances
        from accounts.projections.journal import Journal
        from accounts.projections.ledger_days import LedgerDays
        from accounts.projections.transactions import Transactions
        from accounts.projections.webhooks import Webhooks
        from accounts.roles import ROLES
        from accounts.services import approvals, import_retention, second_person
        from accounts.services.interest_rates import SetInterestRate
        from accounts.turnover import turnover
        from eventstore import projections, registry
        from ops.approvals.registry import register_sensitive
        from ops.debug.cleanup import register_cleanup
        from ops.trends import register_source

        registry.register(ACCOUNT)
        scopes.register()
        health.register()
        register_source(turnover)
        drills.register()
        register_cleanup(import_retention.clean_up)
        jobs.register()
        browsing.register()
        second_person.require_sound_limits(ROLES)
        for action in approvals.ACTIONS:
            register_sensitive(action())
        register_sensitive(SetInterestRate())
        follow_the_feed = (Transactions(), Journal(), DailyBalances(), LedgerDays(), Webhooks())
        for read_model in (AccountsInline(), *follow_the_feed):
            projections.register(read_model)
