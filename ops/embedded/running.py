"""`make manage` and `make restart`: one of Django's commands against the bank that runs in this checkout, and one of
its services anew."""

import os
import time
from collections.abc import Sequence
from typing import NoReturn

from ops.embedded import environment, layout
from ops.embedded.bank import PROCESSES, RESTART_SIGNALS, RUNNING, external_owner
from ops.embedded.environment import Addresses
from ops.embedded.errors import Refusal
from ops.embedded.layout import PYTHON, VAR
from ops.embedded.processes import Register, children
from ops.embedded.secrets import load_or_generate

OWNERS_COMMANDS = ("migrate", "sqlmigrate", "showmigrations")
RESTARTED_WITHIN = 60.0
"""Seconds: the longest that a child is given to end, and to begin."""
SETTLED_AFTER = 1.0
"""Seconds that the new process has to live, to be called restarted."""


def manage(arguments: Sequence[str]) -> NoReturn:
    """Become `manage.py ARGUMENTS`, with the addresses of the running bank.

    Raises:
        Refusal: no bank runs here, or it is still starting.
    """
    caller = dict(os.environ)
    kafka: dict[str, str] = {}
    if caller.get("DATABASE_URL") and caller.get("REDIS_URL"):
        addresses = Addresses(caller["DATABASE_URL"], external_owner(caller), caller["REDIS_URL"])
    else:
        addresses, kafka = _running_addresses()
    is_owners = bool(arguments) and arguments[0] in OWNERS_COMMANDS
    prepare = environment.for_owner if is_owners else environment.for_application
    prepared = prepare(caller, addresses, load_or_generate(VAR / "secrets.json").secret_key) | kafka
    os.execve(PYTHON, [str(PYTHON), "manage.py", *arguments], prepared)  # noqa: S606 - nothing is left to do here


def restart(names: Sequence[str]) -> None:
    """Has the launcher end one process in order (what it has in hand is finished or rolled back) and start another
    in its place; the rest of the bank goes on. Of the web server, new processes take over from the old.

    Raises:
        Refusal: there is no such process, or no new one in time.
    """
    _require_running()
    register = Register(PROCESSES)
    before = register.running()
    name = names[0] if len(names) == 1 else ""
    if name not in before:
        unknown = f"There is no service {name} here. " if name else ""
        raise Refusal(
            f"{unknown}Name one service to restart, such as restart relay. Running are: {', '.join(before)}."
        )
    if name in RESTART_SIGNALS:
        _have_it_change(register, name, before[name])
        print(f"{name} was restarted: its new processes have taken over from the old, and nobody was refused.")
        return
    register.ask_to_restart(name)
    pid = _successor(register, name, before[name])
    print(f"{name} was restarted: process {pid} has taken the place of {before[name]}.")


def _have_it_change(register: Register, name: str, pid: int) -> None:
    """Returns once all that the process ran before has ended, and others serve.

    Raises:
        Refusal: the new ones do not come up, or not in time.
    """
    old, new = children(pid), set[int]()
    register.ask_to_restart(name)
    deadline = time.monotonic() + RESTARTED_WITHIN
    while time.monotonic() < deadline:
        run = children(pid)
        new |= run - old
        if new & run and not old & run:
            return
        if new and not new & run:
            raise Refusal(
                f"The new {name} does not come up, and the old one goes on: look at what make run says. Nobody was "
                "refused meanwhile."
            )
        time.sleep(0.05)
    raise _not_in_time(name)


def _not_in_time(name: str) -> Refusal:
    return Refusal(f"{name} was not restarted within {RESTARTED_WITHIN:.0f} seconds: look at what make run says.")


def _successor(register: Register, name: str, old: int) -> int:
    """The process id of the new one, once it has lived for a moment."""
    deadline, seen, since = time.monotonic() + RESTARTED_WITHIN, old, 0.0
    while time.monotonic() < deadline:
        pid = register.running().get(name, old)
        if pid != seen:
            seen, since = pid, time.monotonic()
        if seen != old and time.monotonic() - since > SETTLED_AFTER:
            return seen
        time.sleep(0.05)
    raise _not_in_time(name)


def _require_running() -> None:
    lock = layout.try_lock(layout.make_directory(VAR) / "run.lock")
    if lock is not None:
        lock.close()
        raise Refusal("The bank does not run in this checkout: start it with make run in another terminal first.")


def _running_addresses() -> tuple[Addresses, dict[str, str]]:
    _require_running()
    known = layout.read_json(RUNNING)
    if not known:
        raise Refusal("The bank is still starting: try again when it has printed its address.")
    return Addresses(known["database"], known["database_owner"], known["redis"]), known.get("kafka", {})
