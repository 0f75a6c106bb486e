"""Registers with the floors below what accounts bring."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts.aggregate import ACCOUNT
        from eventstore.registry import register

        register(ACCOUNT)
