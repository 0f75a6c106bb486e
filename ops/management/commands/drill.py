"""Holds a drill."""

import json
import signal
import subprocess
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import asdict
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from ops.conf import get_settings
from ops.drills.http import BankOverHttp
from ops.drills.registry import CannotDrill, Scene, customers_of, registered_drills
from ops.drills.running import DrillFailed, Report, hold
from ops.management.working import WorkingCommand
from ops.operations import step

ANSWERS_WITHIN = 3.0
MANAGED_WITHIN = 120
"""Seconds that a command of the remedy gets."""


class Command(WorkingCommand):
    help = (
        "Produces a symptom of the troubleshooting guide for real, waits until the bank itself reports it, applies "
        "the manual's remedy, waits until all is well, and proves that nothing was lost. Takes service away from "
        "clients meanwhile: only where DRILLS_ALLOWED=true or DEBUG. Cleans up behind itself, also on Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="which (see --list); all: one after another")
        parser.add_argument("--list", action="store_true", help="say which there are, and hold none")
        parser.add_argument("--url", default="http://localhost:3000", help="the web server (default %(default)s)")
        parser.add_argument(
            "--hold", type=float, default=0.0, metavar="SECONDS", help="that the symptom lasts after it was noticed"
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        drills = registered_drills()
        if options["list"]:
            for name, parts in drills.items():
                self.stdout.write("\n".join(f"{name:<10} {part.symptom}" for part in parts))
            return
        if not (settings.DEBUG or get_settings().drills_allowed):
            raise CommandError("Nothing was done: drills are held only where DRILLS_ALLOWED=true (or DEBUG) says so.")
        names = list(drills) if options["name"] == "all" else [options["name"]]
        if not 0 <= options["hold"] <= 3600:
            raise CommandError("Nothing was done: --hold must lie between 0 and 3600 seconds.")
        if unknown := [name for name in names if name not in drills]:
            raise CommandError(f"Nothing was done: there is no drill {unknown[0]}. There are: {', '.join(drills)}.")
        signal.signal(signal.SIGTERM, _interrupt)
        missed = [sentence for name in names if (sentence := self._hold(name, options))]
        if missed:
            raise CommandError("\n".join(missed))

    def _hold(self, name: str, options: dict[str, Any]) -> str | None:
        """A sentence where it could not be held."""
        try:
            bank = BankOverHttp(options["url"])
        except ValueError as error:
            raise CommandError(f"Nothing was done: --url {error}.") from error
        if not bank.wait_for(ANSWERS_WITHIN):
            raise CommandError(f"Nothing was done: {options['url']} does not answer. Start the bank, or give --url.")
        output = self.stderr if options["json"] else self.stdout

        def say(line: str) -> None:
            step(line[:80])
            output.write(line)

        try:
            with ExitStack() as stack:
                customers = stack.enter_context(customers_of(bank))
                scene = Scene(bank, customers, _manage, say)
                report = hold(name, registered_drills()[name], scene, lasting=options["hold"])
        except CannotDrill as error:
            return f"The drill {name} cannot be held: {error}"
        except DrillFailed as error:
            raise CommandError(f"The drill {name} failed: {error}") from error
        except KeyboardInterrupt:
            raise CommandError(f"The drill {name} was broken off; what it had produced is undone.") from None
        self._tell(report, as_json=options["json"])
        return None

    def _tell(self, report: Report, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(report)))
        else:
            for part in report.parts:
                self.stdout.write(f"{part.noticed_after:8.1f} s until noticed, {part.cured_after:6.1f} s until well")
            self.stdout.write(
                f"{report.acknowledged} commands were acknowledged meanwhile; lost: {len(report.losses)}"
            )
        if report.losses:
            raise CommandError("\n".join(report.losses[:20]))


def _manage(*words: str) -> None:
    """
    Raises:
        DrillFailed: the command failed.
    """
    ran = subprocess.run(  # noqa: S603 - a command of our own
        [sys.executable, sys.argv[0], *words], capture_output=True, text=True, timeout=MANAGED_WITHIN, check=False
    )
    if ran.returncode:
        raise DrillFailed(f"manage.py {' '.join(words)} failed: {ran.stderr.strip()[-500:]}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
