"""`make manage`: one of Django's commands against the bank that runs in this checkout."""

import os
from collections.abc import Sequence
from typing import NoReturn

from ops.embedded import environment, layout
from ops.embedded.bank import RUNNING, external_owner
from ops.embedded.environment import Addresses
from ops.embedded.errors import Refusal
from ops.embedded.layout import PYTHON, VAR
from ops.embedded.secrets import load_or_generate

OWNERS_COMMANDS = ("migrate", "sqlmigrate", "showmigrations")


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


def _running_addresses() -> tuple[Addresses, dict[str, str]]:
    lock = layout.try_lock(layout.make_directory(VAR) / "run.lock")
    if lock is not None:
        lock.close()
        raise Refusal("The bank does not run in this checkout: start it with make run in another terminal first.")
    known = layout.read_json(RUNNING)
    if not known:
        raise Refusal("The bank is still starting: try again when it has printed its address.")
    return Addresses(known["database"], known["database_owner"], known["redis"]), known.get("kafka", {})
