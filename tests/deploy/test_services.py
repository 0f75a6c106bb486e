"""What is deployed runs commands that exist, with settings that exist, and is sound as far as can be told without
starting it."""

import configparser
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from ops.conf import Settings
from ops.embedded.bank import RESTART_SIGNALS
from tests.parts import program

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
NOT_SETTINGS = {"HOST", "PROMETHEUS_MULTIPROC_DIR"}
"""Variables of the web server and of the metrics library."""


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content


def test_the_three_services_of_the_guide_are_there() -> None:
    names = {path.stem for path in UNITS}
    assert {"banking-es-event-store", "banking-es-kafka-processor", "banking-es-cache-service"} <= names


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_a_command_that_exists_and_is_hardened(path: Path) -> None:
    service = unit(path)["Service"]
    if match := re.search(r"manage\.py (\w+)", service["ExecStart"]):
        assert match.group(1) in get_commands()
        assert (service["Type"], service["WatchdogSec"]) == ("notify", "60")
    assert service["User"] == "banking-es"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert "ProcSubset" not in service, "the metrics of the machine are read from /proc/stat and its like"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_the_unit(path: Path, tmp_path: Path) -> None:
    systemd_analyze = program("systemd-analyze", "systemd")
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/opt/banking-es/.venv/bin/python", "/bin/true"))
    checked = subprocess.run(
        [systemd_analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=30, check=False
    )
    complaints = [line for line in checked.stderr.splitlines() if path.name in line]
    assert (checked.returncode, complaints) == (0, [])


def test_the_web_server_is_reloaded_by_the_signal_that_has_it_change() -> None:
    service = unit(ROOT / "deploy/systemd/banking-es-event-store.service")["Service"]
    assert service["ExecReload"] == f"/bin/kill -{RESTART_SIGNALS['web'].name.removeprefix('SIG')} $MAINPID"


def test_a_command_by_hand_runs_as_the_units_do() -> None:
    script = (ROOT / "deploy/systemd/manage").read_text()
    for path in UNITS:
        service = unit(path)["Service"]
        variables = dict(pair.split("=", 1) for pair in service["Environment"].split())
        assert f"--uid={service['User']} --gid={service['Group']}" in script
        assert f"--working-directory={service['WorkingDirectory']}" in script
        assert f"--property=EnvironmentFile={service['EnvironmentFile']}" in script
        assert f"--setenv=BOARD_DIR={variables['BOARD_DIR']}" in script
        assert f"{service['ExecStart'].split()[0]} manage.py" in script


def test_systemd_knows_how_a_command_by_hand_is_run() -> None:
    systemd_run = program("systemd-run", "systemd")
    script = (ROOT / "deploy/systemd/manage").read_text()
    known = subprocess.run([systemd_run, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    given = set(re.findall(r"\s(--[a-z-]+)", script.partition("exec systemd-run")[2]))
    assert given
    assert given <= set(re.findall(r"--[a-z-]+", known))


def test_every_unit_is_in_the_guide_and_no_other() -> None:
    guide = (ROOT / "deploy/systemd/README.md").read_text()
    assert {path.stem for path in UNITS} == set(re.findall(r"^\| `(banking-es-[a-z-]+)`", guide, re.MULTILINE))


def test_compose_starts_what_the_units_start() -> None:
    services = compose()["services"]
    started = {" ".join(map(str, service.get("command", []))) for service in services.values()}
    for path in UNITS:
        if path.stem == "banking-es-projector":  # the processor's part, with Kafka
            continue
        starts = unit(path)["Service"]["ExecStart"]
        command = re.search(r"(manage\.py \w+|celery -A bankes \w+|bankes\.server)", starts)
        assert command is not None
        if command.group(1) != "bankes.server":
            assert any(command.group(1) in " ".join(entry.split()) for entry in started), command.group(1)
    assert '"bankes.server"' in (ROOT / "Dockerfile").read_text()


def test_compose_sets_only_settings_that_exist() -> None:
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    for name, service in compose()["services"].items():
        if service.get("build"):
            assert set(service["environment"]) <= known, name


def test_only_the_web_server_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:3000:3000"]}


def test_all_services_count_where_the_web_server_that_is_scraped_reads() -> None:
    folders = set()
    for path in UNITS:
        service = unit(path)["Service"]
        variables = dict(pair.split("=", 1) for pair in service["Environment"].split())
        folders.add(variables.get("PROMETHEUS_MULTIPROC_DIR"))
        assert f"/run/{service['RuntimeDirectory']}" == variables.get("PROMETHEUS_MULTIPROC_DIR"), path.stem
        assert service["RuntimeDirectoryPreserve"] == "yes", "it would go with the first that restarts"
        assert "ExecStartPre" not in service, "counts of all the others are in the same folder"
    assert len(folders) == 1

    built = [service for service in compose()["services"].values() if service.get("build")]
    folders = {service["environment"].get("PROMETHEUS_MULTIPROC_DIR") for service in built}
    assert len(folders) == 1
    assert all(f"board:{folder}" in service["volumes"] for folder in folders for service in built)


def test_the_image_holds_all_packages_and_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY")}
    assert {"ops", "eventstore", "accounts", "bankes", "templates", "manage.py"} <= copied
    for source in copied:
        assert (ROOT / source).exists()
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_secrets_are_generated_once_and_kept_private(tmp_path: Path) -> None:
    (tmp_path / "deploy/docker").mkdir(parents=True)
    script = tmp_path / "deploy/docker/make-env.sh"
    shutil.copy(ROOT / "deploy/docker/make-env.sh", script)

    subprocess.run(["sh", str(script)], check=True, timeout=10, capture_output=True)
    written = (tmp_path / ".env").read_text()
    subprocess.run(["sh", str(script)], check=True, timeout=10, capture_output=True)

    assert (tmp_path / ".env").read_text() == written
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    values = dict(line.split("=") for line in written.splitlines())
    assert set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text())) == set(values)
    assert len(set(values.values())) == len(values)
    assert min(map(len, values.values())) == 64
