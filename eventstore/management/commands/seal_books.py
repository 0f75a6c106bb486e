"""Seals the books."""

import fcntl
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from eventstore import seals
from eventstore.errors import BrokenHistory
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Adds a seal to a file: a digest of all events since the last one, in their order. Keep the file where "
        "nobody writes who can change the database: then verify_ledger --seals FILE finds whatever was done to what "
        "is sealed, also by somebody who made all hashes fit. Run it now and then, such as once an hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="one seal a line, as JSON; it is made if it is not there")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["file"]
        try:
            with open(name, "a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two would seal the same events
                file.seek(0)
                seal = _next(file.readlines())
                if seal is not None:
                    file.write(seal.line())
                    file.flush()
                    os.fsync(file.fileno())
        except BlockingIOError as error:
            raise CommandError(f"{name} is being written by another seal_books. No seal was made.") from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{name}: {error}. No seal was made.") from error
        except BrokenHistory as error:
            raise CommandError(
                f"No seal was made: {error}. Was an older backup restored? Stop the web server, keep everything as "
                "it is, and find out first."
            ) from error
        if seal is None:
            self.stdout.write("Nothing has happened since the last seal: none was made.")
        else:
            self.stdout.write(f"Sealed: {seal.events} events up to position {seal.position}, {seal.digest}.")


def _next(lines: list[str]) -> seals.Seal | None:
    if lines and not lines[-1].endswith("\n"):
        raise ValueError(f"line {len(lines)} does not end: remove it if it is cut off, else end it with a newline")
    known = seals.read(lines)
    with bar("event") as progress:
        return seals.make(known, lambda done: progress(done, done))
