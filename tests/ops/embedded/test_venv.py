"""The first stage: what it installs, when it does not, and what it says when it cannot."""

import ast
import subprocess
import sys

import pytest

from ops.embedded import venv
from ops.embedded.errors import Refusal
from ops.embedded.layout import ROOT, write_json

OFFLINE = """
WARNING: Retrying (Retry(total=1, connect=None)) after connection broken by 'NewConnectionError': /simple/amqp/
ERROR: Could not find a version that satisfies the requirement amqp==5.4.2 (from versions: none)
ERROR: No matching distribution found for amqp==5.4.2
"""
NO_WHEEL = """
Collecting orjson==3.11.4
ERROR: Could not find a version that satisfies the requirement orjson==3.11.4 (from versions: 3.11.3)
ERROR: No matching distribution found for orjson==3.11.4
"""
TAMPERED = """
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions,
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    celery==5.7.0 from file:///wheels/celery.whl (from -r requirements/base.txt (line 19)):
        Expected sha256 1
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A checkout whose virtual environment has what `base` names and nothing else."""
    for name in ("base", "dev"):
        (tmp_path / f"{name}.txt").write_text(f"{name}==1")
    monkeypatch.setattr(venv, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(venv, "MARKER", tmp_path / "installed.json")
    write_json(tmp_path / "installed.json", {"base": venv.lock_hash("base")})
    return tmp_path


def test_nothing_is_installed_twice(installed, monkeypatch):
    monkeypatch.setattr(venv, "_install", lambda lock: pytest.fail(f"{lock} was installed"))
    venv.ensure("base")


def test_a_changed_or_new_lock_file_is_installed(installed, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(venv, "_install", asked.append)
    venv.ensure("base", "dev")
    assert asked == ["dev"]
    (installed / "base.txt").write_text("base==2")
    venv.ensure("base")
    assert asked == ["dev", "base"]


def test_an_interrupted_installation_is_made_anew(installed, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(venv, "_create", lambda: (installed / "installed.json").unlink())
    monkeypatch.setattr(venv, "_install", asked.append)
    write_json(installed / "installed.json", {"base": venv.lock_hash("base"), "unfinished": "dev"})
    venv.ensure("base")
    assert asked == ["base"]


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (OFFLINE, "pip could not get a wheel of amqp (requirements/base.txt): it needs the network or a proxy"),
        (NO_WHEEL, "pip could not get a wheel of orjson (requirements/base.txt): it needs the network or a proxy"),
        (TAMPERED, "The file that the package index sent for celery==5.7.0 is not the one"),
        ("OSError: [Errno 28] No space left on device", "The disk is full: pip could not unpack"),
        ("Killed", "pip could not get a wheel of a package (requirements/base.txt)"),
    ],
)
def test_a_failure_of_pip_is_told_in_one_sentence(report: str, sentence: str):
    assert venv.explain_pip(report, "requirements/base.txt").startswith(sentence)


def test_a_python_without_ensurepip_is_told_which_package_has_it(monkeypatch):
    monkeypatch.setattr(venv, "runs_inside", lambda: False)
    monkeypatch.setattr(venv.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(Refusal, match=r"no module ensurepip.*install the package python3-venv"):
        venv._create()


def test_a_python_that_is_too_old_can_read_the_refusal():
    for path in ("ops/__init__.py", "ops/embedded/__init__.py", "ops/embedded/__main__.py"):
        ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 4))


def test_the_first_stage_needs_nothing_but_the_standard_library():
    script = "import sys, ops.embedded.cli; print([n for n in sys.modules if n.partition('.')[0] in {%s}])"
    script %= "'django', 'psycopg', 'redis', 'pydantic', 'celery'"
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_an_unknown_command_is_answered_with_the_list_of_commands():
    said = subprocess.run(
        [sys.executable, "-m", "ops.embedded", "dance"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "start the bank in this checkout" in said.stderr
