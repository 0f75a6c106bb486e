"""The ground floor as a Django app."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        from ops.audit import signals  # noqa: F401  (connects its receivers)
        from ops.health import checks
        from ops.health.registry import register_check

        register_check("database", checks.Database(), serving=True)
        register_check("cache", checks.Cache())
