"""Each symptom of the troubleshooting guide is produced for real, is noticed by the bank itself, and is cured by what
the manual says; nothing that was acknowledged is lost."""

import json
import signal
import subprocess
import sys
import time
import warnings

import pytest
from django.core.management import CommandError, call_command

from ops.drills.registry import registered_drills
from tests.configured import configured
from tests.drills.conftest import Prometheus
from tests.installation import ROOT, Installation
from tests.processes import wait_until

ALERTS = {
    "pool": "HighConnectionPoolUtilization",
    "deadlock": "HighDeadlockCount",
    "timeouts": "HighTimeoutRate",
}
"""The guide's three, by the drill in which they fire and clear."""
DRILLS = ("pool", "timeouts", "deadlock", "cache", "kafka", "redis")
NOTICED_WITHIN = 10.0


def test_there_is_a_drill_for_each_of_the_six_symptoms() -> None:
    assert set(registered_drills()) == set(DRILLS)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", DRILLS)
def test_the_symptom_is_reported_and_cured_and_nothing_is_lost(
    bank: Installation, prometheus: Prometheus | None, name: str
) -> None:
    alert = ALERTS.get(name) if prometheus else None
    if prometheus and alert:
        wait_until(lambda: bool(prometheus.ask("up == 1")), 30)
        wait_until(lambda: not prometheus.fires(alert), 70)
    began = time.monotonic()

    ran = bank.manage("drill", name, "--json", "--url", bank.url, "--hold", "4" if alert else "0", within=200)

    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{bank.said()}"
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["losses"] == []
    assert report["acknowledged"] > 1
    assert len(report["parts"]) == len(registered_drills()[name])
    for part in report["parts"]:
        assert part["reported"]
        assert part["noticed_after"] <= NOTICED_WITHIN
    if prometheus and alert:
        assert prometheus.has_fired(alert, within=time.monotonic() - began)
        wait_until(lambda: not prometheus.fires(alert), 20)
    elif name in ALERTS:
        warnings.warn("no Prometheus here: the guide's alerts were not watched (package `prometheus`)", stacklevel=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_cleans_up_behind_itself(bank: Installation, number: signal.Signals) -> None:
    drill = subprocess.Popen(
        [sys.executable, "manage.py", "drill", "pool", "--url", bank.url, "--hold", "60"],
        cwd=ROOT,
        env=bank.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert drill.stdout is not None
    while not (line := drill.stdout.readline()).startswith("Noticed"):
        assert line, drill.communicate()[1]
    assert bank.call("/health/pool").json()["status"] == "unhealthy"

    drill.send_signal(number)
    _, said = drill.communicate(timeout=30)

    assert drill.returncode != 0
    assert "broken off" in said
    time.sleep(1)
    assert bank.call("/health/pool").json()["status"] == "healthy"


@pytest.mark.parametrize(
    ("words", "settings", "sentence"),
    [
        (["pool"], {"drills_allowed": False}, "only where DRILLS_ALLOWED=true"),
        (["flood"], {}, "there is no drill flood. There are: cache, deadlock, kafka, pool, redis, timeouts."),
        ([], {}, "there is no drill"),
        (["pool", "--hold", "-1"], {}, "--hold must lie between 0 and 3600"),
        (["pool", "--url", "ftp://x"], {}, "must look like http://localhost:3000"),
        (["pool", "--url", "http://localhost:9"], {}, "does not answer. Start the bank, or give --url."),
    ],
)
def test_where_it_cannot_be_held_it_says_so_in_a_sentence(
    words: list[str], settings: dict[str, object], sentence: str
) -> None:
    with configured(**{"drills_allowed": True, **settings}), pytest.raises(CommandError) as refused:
        call_command("drill", *words)
    assert "Nothing was done" in str(refused.value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("name", "environment", "sentence"),
    [
        ("pool", {"POOL_MAX_CONNECTIONS": "60"}, "POOL_MAX_CONNECTIONS is 60"),
        ("kafka", {"KAFKA_ENABLED": "false"}, "KAFKA_ENABLED=true"),
    ],
)
def test_what_a_drill_lacks_is_told_before_it_begins(
    bank: Installation, name: str, environment: dict[str, str], sentence: str
) -> None:
    ran = bank.manage("drill", name, "--url", bank.url, **environment)
    assert ran.returncode == 1
    assert sentence in ran.stderr
    assert "Producing" not in ran.stdout


def test_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("drill", "--list")
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(DRILLS)
