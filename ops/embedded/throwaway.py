"""`make test`: fresh servers in a directory of their own, a migrated database, and all of it gone afterwards."""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ops.embedded import environment, kafka, layout, steps
from ops.embedded.errors import Refusal
from ops.embedded.layout import PYTHON, VAR
from ops.embedded.log import Log
from ops.embedded.privileges import choose_account
from ops.embedded.processes import Account
from ops.embedded.secrets import generate
from ops.embedded.servers import Servers
from ops.embedded.supervisor import StopRequest, Supervisor

DATABASE = "banking_es_test"
PREFIX = "test-"
SERVERS_OF_WORKERS = "TEST_SERVERS_OF_WORKERS"
"""A JSON list: what each of pytest-xdist's workers finds in its environment in place of what the first one does."""
TESTS_FAILED = 1
"""What pytest exits with then, and in no other case."""
MOST_ONCE_MORE = 5
PATIENCE = {"CACHE_REDIS_TIMEOUT_MS": "500"}
"""What tests do side by side on a small machine is no outage of Redis."""


def test(arguments: Sequence[str], stop: StopRequest) -> int:
    """Run pytest with these arguments against throw-away servers; returns its exit code.

    With `--numprocesses=N` each of the processes has servers of its own, so that none sees what others do. They do
    share the machine's processors, which a test that waits for a second may miss: a few that fail are run once more,
    alone, and named.
    """
    count = _processes(arguments)
    with contextlib.ExitStack() as opened:
        notes = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pytest-cache-")))
        own = [opened.enter_context(throwaway_environment(dict(os.environ), stop)) for _ in range(count)]
        apart = [{name: value for name, value in prepared.items() if own[0].get(name) != value} for prepared in own]
        shared = own[0] | PATIENCE | {SERVERS_OF_WORKERS: json.dumps(apart)}
        command: list[str | Path] = [PYTHON, "-m", "pytest", *arguments, "-o", f"cache_dir={notes}"]
        code = steps.foreground(command, shared, stop)
        failed = _failed(notes) if code == TESTS_FAILED and count > 1 else []
        if not 0 < len(failed) <= MOST_ONCE_MORE:
            return code
        print(f"\n{len(failed)} failed while other tests ran beside; once more, alone:")
        code = steps.foreground([*command, "-n0", "--last-failed", "--last-failed-no-failures=none"], shared, stop)
        if code == 0:
            print("PASSED ALONE, and failed beside others:", *failed, sep="\n  ")
        return code


def _failed(notes: Path) -> list[str]:
    """The tests that pytest noted as failed."""
    try:
        return sorted(json.loads((notes / "v/cache/lastfailed").read_bytes()))
    except FileNotFoundError:
        return []


def _processes(arguments: Sequence[str]) -> int:
    """How many processes pytest will spread the tests over."""
    parser = argparse.ArgumentParser(prog="pytest", add_help=False, allow_abbrev=False)
    parser.add_argument("-n", "--numprocesses", type=int, default=1)
    return max(1, parser.parse_known_args(arguments)[0].numprocesses)


def shell(command: Sequence[str | Path], stop: StopRequest) -> int:
    """Run any command against throw-away servers; returns its exit code.

    Never touches a real bank: DATABASE_URL and REDIS_URL of the caller are replaced, not used.
    """
    with throwaway_environment(dict(os.environ), stop) as prepared:
        return steps.foreground(command, prepared, stop)


@contextlib.contextmanager
def throwaway_environment(caller: dict[str, str], stop: StopRequest) -> Iterator[dict[str, str]]:
    """The environment for a command that may use fresh, migrated servers until the block is left."""
    with throwaway_directory() as directory, open(directory / "servers.log", "w", encoding="utf-8") as output:
        secrets = generate()
        with contextlib.closing(Log(output)) as log, Supervisor(log, stop) as supervisor:
            servers = Servers(directory, secrets, caller, DATABASE)
            with_kafka = not kafka.missing(environment.base(caller))
            servers.start(supervisor, with_kafka=with_kafka)
            addresses = servers.addresses()
            owner = environment.for_owner(caller, addresses, secrets.secret_key)
            steps.manage("migrate --noinput --verbosity 0", owner, stop, quiet=True)
            prepared = environment.for_tests(caller, addresses, secrets.secret_key)
            prepared = without_kafka(prepared) | (servers.kafka.address.settings() if with_kafka else {})
            steps.collect_static(prepared, stop)
            yield prepared
            supervisor.check_all_running()


def without_kafka(prepared: dict[str, str]) -> dict[str, str]:
    """Neither the caller's broker nor the caller's topics are any business of a test."""
    return {name: value for name, value in prepared.items() if not name.startswith("KAFKA_")}


@contextlib.contextmanager
def throwaway_directory() -> Iterator[Path]:
    """A new directory that is gone afterwards; what killed runs left behind is removed first."""
    base = _base()
    _sweep(base)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with open(directory / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _base() -> Path:
    """`var/`, unless PostgreSQL has to run as nobody below a home that nobody may enter."""
    layout.check_ownership()
    base = layout.make_directory(VAR)
    if choose_account() is Account.NOBODY and any(not parent.stat().st_mode & 0o001 for parent in VAR.parents):
        return Path(tempfile.gettempdir())
    return base


def _sweep(base: Path) -> None:
    for lock in base.glob(f"{PREFIX}*/lock"):
        held = layout.try_lock(lock)
        if held:
            shutil.rmtree(lock.parent, ignore_errors=True)
            held.close()


def refuse_without_command(command: Sequence[str]) -> None:
    if not command:
        raise Refusal("shell needs a command, for example: python3 -m ops.embedded shell -- python manage.py check.")
