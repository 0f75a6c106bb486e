"""The launcher's commands, and the change from the first stage (any Python) to the second (the venv's)."""

import os
import signal
import sys
from collections.abc import Sequence

from ops.embedded import venv
from ops.embedded.errors import Refusal, Stopped, explain
from ops.embedded.layout import PYTHON, ROOT, check_ownership

USAGE = """\
python3 -m ops.embedded COMMAND

  run                    start the bank in this checkout, until Ctrl-C
  test [-- ARGUMENT...]  run pytest against throw-away servers
  shell -- COMMAND...    run a command against throw-away servers
  manage [ARGUMENT...]   run manage.py against the bank that runs in this checkout
  restart SERVICE        restart one process of the bank that runs in this checkout, in order
  venv                   only prepare .venv, with the developer's tools"""

TOOLS = ("base", "dev")
LOCKS = {"run": ("base",), "manage": ("base",), "restart": ("base",), "test": TOOLS, "shell": TOOLS, "venv": TOOLS}
"""Which of the lock files in requirements/ each command needs."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code. Whatever stands in the way is told in one sentence on standard error."""
    command, *rest = arguments or [""]
    if command not in LOCKS:
        print(USAGE, file=sys.stderr)
        return 2
    if rest[:1] == ["--"]:
        rest = rest[1:]
    os.chdir(ROOT)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        check_ownership()
        venv.ensure(*LOCKS[command])
        if not venv.runs_inside():
            os.execv(PYTHON, [str(PYTHON), "-m", "ops.embedded", *arguments])  # noqa: S606 - on to the second stage
        return _second_stage(command, rest)
    except Refusal as refusal:
        print("\n".join([*refusal.lines, "", str(refusal)] if refusal.lines else [str(refusal)]), file=sys.stderr)
        return 1
    except OSError as error:
        print(explain(error), file=sys.stderr)
        return 1
    except (Stopped, KeyboardInterrupt):
        print("Stopped before it was ready.", file=sys.stderr)
        return 130


def _second_stage(command: str, rest: list[str]) -> int:
    """Imported only here: these modules need the packages of the virtual environment."""
    from ops.embedded import bank, running, throwaway
    from ops.embedded.supervisor import StopRequest

    if command == "venv":
        return 0
    if command == "manage":
        running.manage(rest)
    if command == "restart":
        running.restart(rest)
        return 0
    stop = StopRequest()
    stop.install()
    if command == "run":
        bank.run(stop)
        return 0
    if command == "test":
        return throwaway.test(rest, stop)
    throwaway.refuse_without_command(rest)
    return throwaway.shell(rest, stop)
