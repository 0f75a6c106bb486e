"""Prints the table of settings that the README shows."""

from typing import Any

from django.core.management.base import BaseCommand
from pydantic_core import PydanticUndefined

from ops.conf import Settings


class Command(BaseCommand):
    help = "Prints every setting with its default as a Markdown table."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(settings_table())


def settings_table() -> str:
    """One row a setting, in the order of `Settings`."""
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "required" if field.default is PydanticUndefined else f"`{_plain(field.default)}`".replace("``", "")
        rows.append(f"| `{name.upper()}` | {default} | {field.description or ''} |")
    return "\n".join(rows)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
