"""The manual names what exists, and its lists are the code's."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from django.core.management import get_commands, load_command_class

from accounts.domain.errors import ErrorCode
from accounts.management.commands.describe_errors import errors_table
from ops.conf import Settings
from ops.drills.registry import registered_drills
from ops.endpoints import ENDPOINTS
from tests.guide.test_promises import rules
from tests.installation import ROOT

MANUAL = (ROOT / "docs/manual.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#+ (.+)$", MANUAL, re.MULTILINE)
NOT_OURS = {"changepassword", "migrate"}


def anchor(heading: str) -> str:
    """As Markdown renderers make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


ANCHORS = [anchor(heading) for heading in HEADINGS]


def test_headings_are_told_apart() -> None:
    assert len(set(ANCHORS)) == len(ANCHORS)


def test_each_link_within_the_manual_has_its_heading() -> None:
    links = set(re.findall(r"\]\(#([^)]+)\)", MANUAL))
    assert len(links) > 15
    assert links - set(ANCHORS) == set()


def test_each_link_to_a_file_leads_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", MANUAL):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("name", sorted(rules()))
def test_the_runbook_link_of_the_alert_has_its_section(name: str) -> None:
    annotations = rules()[name]["annotations"]
    path, _, target = annotations["runbook_url"].partition("#")  # type: ignore[index]
    assert path == "docs/manual.md"
    assert target in ANCHORS


def test_each_command_that_it_names_exists_with_the_options_that_it_names() -> None:
    ours = {name: app for name, app in get_commands().items() if app in ("ops", "eventstore", "accounts")}
    used = re.findall(r"manage\.py (\w+)((?:[ \w\"<>.]|--[\w-]+)*)", MANUAL)
    assert len(used) > 25
    for name, rest in used:
        if name == "X":  # any of them
            continue
        assert name in ours, name
        parser = load_command_class(ours[name], name).create_parser("manage.py", name)
        known = parser.format_help()
        for option in re.findall(r"--[\w-]+", rest):
            assert option in known or name == "dead_letters", f"{name} {option}"


def test_each_setting_that_it_names_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    aliases = {"RUST_LOG", "RUST_LOG_BANKING_ES", "RUST_LOG_FORMAT"}
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", MANUAL))
    assert len(named) > 25
    assert named - known - aliases == set()


def test_each_endpoint_that_it_names_exists() -> None:
    known = {entry.path for entry in ENDPOINTS} | {"/health/NAME"}
    named = set(
        re.findall(
            r"(?<![\w.])(/(?:health|metrics|config|debug)(?:/[\w-]+)?)", MANUAL.replace("http://localhost:3000", " ")
        )
    )
    assert len(named) > 12
    assert named - known == set()


def test_each_unit_that_it_names_exists() -> None:
    units = {path.stem for path in (ROOT / "deploy/systemd").glob("*.service")}
    assert units == set(re.findall(r"banking-es-[a-z]+(?:-[a-z]+)?", MANUAL))


def test_it_names_each_drill() -> None:
    for name in registered_drills():
        assert f"`{name}`" in MANUAL.split("## Drills")[1].split("## Logs")[0]


def test_its_table_of_error_codes_is_that_of_the_code() -> None:
    assert errors_table() in MANUAL, "put the output of `manage.py describe_errors` into docs/manual.md"
    assert {f"`{code}`" for code in ErrorCode} <= set(re.findall(r"^\| (`\w+`) \|", MANUAL, re.MULTILINE))


def test_a_command_can_be_profiled_as_the_manual_says(sweep: Callable[[], None]) -> None:
    sweep()
    command = "python -m cProfile -s cumulative manage.py verify_ledger"
    assert command in MANUAL
    ran = subprocess.run(
        [sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr[-1000:]
    assert "Ordered by: cumulative time" in ran.stdout
