"""Log lines say what they belong to, and keep secrets and names of account holders."""

import json
import logging
import os
import subprocess
import sys

import pytest
import structlog

from ops.logs import mask
from ops.operations import operation
from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank
from tests.ops.operators import ROOT

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SPEAK = """
import django
django.setup()
import logging, structlog
from ops.operations import operation
with operation("job", "speaking") as begun:
    structlog.get_logger("eventstore.feed").info("said", owner="Ann Secret", token="hunter2", lease={"password": "x"})
    logging.getLogger("plain").warning("to postgresql://me:hunter2@host/db")
    print(begun.id)
structlog.get_logger("ops.cache.local").info("quiet")
try:
    raise ValueError("bk_0123456789ab_" + "A" * 43)
except ValueError:
    logging.getLogger("plain").exception("failed")
"""


WRONG_HOST = """
import django
django.setup()
from django.test import Client
print(Client().get("/admin/", headers={"Host": "evil.example"}).status_code)
"""


def speak(program: str = SPEAK, **environment: str) -> tuple[str, list[str]]:
    """What was printed (the operation's id), and the lines."""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        cwd=ROOT,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip(), ran.stderr.splitlines()


def test_json_lines_carry_the_operation_and_no_secret() -> None:
    begun, lines = speak(LOG_FORMAT="json", LOG_LEVELS="ops.cache=ERROR")
    said, plain, failed = (json.loads(line) for line in lines)

    assert (said["event"], said["operation"], said["logger"]) == ("said", begun, "eventstore.feed")
    assert (said["owner"], said["token"], said["lease"]) == ("***", "***", {"password": "***"})
    assert plain["event"] == "to postgresql://***@host/db"
    assert plain["operation"] == begun
    assert "operation" not in failed
    assert "bk_" not in failed["exception"]
    assert "ValueError" in failed["exception"]
    assert all(line["timestamp"].endswith("Z") for line in (said, plain, failed))


def test_a_host_that_is_not_ours_writes_no_line() -> None:
    printed, lines = speak(WRONG_HOST, LOG_FORMAT="json")

    assert printed == "400"
    assert [json.loads(line)["event"] for line in lines] == ["request_finished"], (
        "one line a request, and no traceback"
    )


def test_a_module_s_own_level_counts() -> None:
    assert any("quiet" in line for line in speak()[1])
    assert not any("quiet" in line for line in speak(LOG_LEVELS="ops.cache=WARNING")[1])


def test_console_lines_leave_the_time_to_who_adds_it() -> None:
    assert speak(LOG_TIMESTAMPS="true")[1][0].startswith("20")
    assert speak(LOG_TIMESTAMPS="false")[1][0].startswith("[info")


@pytest.fixture
def api(bank: Bank) -> Caller:
    return new_caller()


def test_a_request_is_one_line_with_all_its_ids_and_without_the_account_holder(
    api: Caller, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    api.post(
        "/accounts",
        {"owner": "Ann Secret", "currency": "EUR", "opening_deposit": "100.00"},
        X_Request_ID="r-1",
        X_Correlation_ID="c-1",
        traceparent=PARENT,
    )

    [line] = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert line["event"] == "request_finished"
    assert (line["request_id"], line["correlation_id"], line["actor"]) == ("r-1", "c-1", "client:acme")
    assert line["trace_id"] == PARENT.split("-")[1]
    assert "Ann Secret" not in caplog.text + "".join(capfd.readouterr())


def test_a_line_within_an_operation_names_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with operation("job", "named") as begun:
        structlog.get_logger("ops.test").info("inside")
    structlog.get_logger("ops.test").info("outside")

    inside, outside = (record.msg for record in caplog.records if isinstance(record.msg, dict))
    assert inside["operation"] == begun.id
    assert "operation" not in outside


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"Authorization": "Bearer abc"}, {"Authorization": "***"}),
        ({"error": "Bearer abc failed"}, {"error": "Bearer *** failed"}),
        ({"url": "redis://:pw@host:1/0"}, {"url": "redis://***@host:1/0"}),
        ({"holder": "host:12:13", "key": "k-1"}, {"holder": "host:12:13", "key": "k-1"}),
        ({"many": [{"api_key": "x"}, ("a", 1)]}, {"many": [{"api_key": "***"}, ["a", 1]]}),
        ({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}, {"a": {"b": {"c": {"d": {"e": "***"}}}}}),
    ],
)
def test_what_is_masked_and_what_is_not(given: dict[str, object], kept: dict[str, object]) -> None:
    assert mask(None, "info", given) == kept
