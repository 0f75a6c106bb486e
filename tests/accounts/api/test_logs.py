"""What is logged of a request: who, from where and under which id; never a secret."""

import logging

import pytest

from tests.accounts.api.caller import Caller


def test_a_request_is_logged_with_its_actor_and_id_and_without_its_key(
    api: Caller, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    api.get("/accounts", X_Request_ID="logged-1")
    api.get("/accounts", Authorization=f"Bearer {api.token[:-1]}")
    api.get("/accounts", Authorization=f"Basic {api.token}")

    lines = caplog.text + "".join(capfd.readouterr())
    finished = [record.msg for record in caplog.records if "request_finished" in str(record.msg)]
    assert finished[0]["request_id"] == "logged-1"
    assert finished[0]["actor"] == "client:acme"
    assert finished[0]["address"] == "127.0.0.1"
    secret = api.token.split("_", 2)[2][:20]
    assert "logged-1" in lines
    assert secret not in lines
    assert "Bearer" not in lines


def test_the_actor_of_one_request_is_not_that_of_the_next(api: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.get("/accounts")
    caplog.clear()

    api.get("/accounts", Authorization="")

    [finished] = [record.msg for record in caplog.records if "request_finished" in str(record.msg)]
    assert finished["code"] == 401
    assert "actor" not in finished
