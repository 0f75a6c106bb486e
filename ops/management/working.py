"""Management commands that do work of some length, as registered operations."""

from typing import Any

from django.core.management.base import BaseCommand

from ops.operations import operation


class WorkingCommand(BaseCommand):
    """A command that is seen while it works, from every process of the bank. It may take as long as it takes.

    (Not for services: what those do is registered batch by batch.)
    """

    def execute(self, *args: Any, **options: Any) -> str | None:
        name = type(self).__module__.rpartition(".")[2]
        with operation("job", name, actor=f"command:{name}"):
            result: str | None = super().execute(*args, **options)
        return result
