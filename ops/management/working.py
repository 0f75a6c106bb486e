"""Management commands that do work of some length, as registered operations."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ops.operations import operation

INTERRUPTED = 128 + 2
"""The exit code of what SIGINT ended, as shells count it."""


class WorkingCommand(BaseCommand):
    """A command that is seen while it works, from every process of the bank. It may take as long as it takes.

    (Not for services: what those do is registered batch by batch.)
    """

    def execute(self, *args: Any, **options: Any) -> str | None:
        name = type(self).__module__.rpartition(".")[2]
        with operation("job", name, actor=f"command:{name}"):
            try:
                result: str | None = super().execute(*args, **options)
            except KeyboardInterrupt:
                message = f"{name} was broken off: what it had finished stays, what it was doing was not done."
                raise CommandError(message, returncode=INTERRUPTED) from None
        return result
