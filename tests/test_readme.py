"""What the README says is so."""

import re
from pathlib import Path

from django.core.management import get_commands

from ops.management.commands.describe_settings import settings_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert settings_table() in README, "put the output of `manage.py describe_settings` into the README"


def test_every_setting_says_what_it_is_for() -> None:
    assert [row for row in settings_table().splitlines()[2:] if row.endswith("|  |")] == []


def test_each_command_that_it_names_exists_and_each_of_ours_is_named() -> None:
    table = README.split("## Commands")[1].split("## Settings")[0]
    named = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) | {"create_demo_bank"}
    ours = {name for name, app in get_commands().items() if app in ("ops", "eventstore", "accounts")}
    assert named <= ours
    assert ours - named <= {"describe_settings", "describe_operations", "describe_errors"}


def test_every_dependency_is_justified() -> None:
    wanted = {
        re.split(r"[\[<>=]", line)[0].strip()
        for line in (ROOT / "requirements/base.in").read_text().splitlines()
        if line.strip() and not line.startswith(("#", "-"))
    }
    table = README.split("## What it stands on")[1]
    missing = {name for name in wanted if name.removesuffix("-sidecar") not in table}
    assert missing == set()


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
