"""A key that was found good is believed for a moment: never past its expiry, nor past a change in this process."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ops.access import checks, keys
from ops.access.checks import KeyChecks
from ops.access.keys import InvalidKey, bearer_token, check_token, issue_key, known_key, trusted_key
from ops.access.scopes import OPS_READ, can_write, known_scopes
from ops.models import ApiClient, ApiKey
from tests.configured import configured

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def long_trust() -> Iterator[None]:
    """So long that nothing but what a test does ends it."""
    keys._trusted.forget()
    with configured(api_key_trust=60):
        yield
    keys._trusted.forget()


def a_token(name: str = "acme", **lasts: int) -> str:
    client, _ = ApiClient.objects.get_or_create(name=name)
    expires_at = timezone.now() + timedelta(**(lasts or {"days": 1}))
    return issue_key(client=client, scopes=[OPS_READ], expires_at=expires_at, issued_by=None)[1]


def later(monkeypatch: pytest.MonkeyPatch, **by: int) -> None:
    then = timezone.now() + timedelta(**by)
    monkeypatch.setattr(keys.timezone, "now", lambda: then)


def test_a_key_is_believed_without_the_database_and_not_past_its_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    token = a_token(seconds=30)
    key = check_token(token)
    assert trusted_key(token) == key

    later(monkeypatch, seconds=30)

    assert trusted_key(token) is None
    with pytest.raises(InvalidKey, match="expired"):
        check_token(token)
    assert known_key(token) is None, "it opens nothing, and nobody is known by it any more"


def test_a_key_whose_use_is_to_be_noted_is_for_who_may_write_that(monkeypatch: pytest.MonkeyPatch) -> None:
    token = a_token()
    noted = check_token(token).last_used_at
    later(monkeypatch, minutes=1, seconds=1)

    assert trusted_key(token) is None
    check_token(token)

    assert noted is not None
    assert ApiKey.objects.get().last_used_at >= noted + keys.USE_IS_NOTED_EVERY
    assert trusted_key(token) is not None


@pytest.mark.parametrize("change", ["the client is shut out", "the key is deleted", "the client is deleted"])
def test_what_this_process_changes_counts_at_once(change: str) -> None:
    token = a_token()
    key = check_token(token)
    if change == "the client is shut out":
        key.client.is_active = False
        key.client.save()
    elif change == "the key is deleted":
        ApiKey.objects.get().delete()
    else:
        ApiKey.objects.all().delete()
        keys._trusted.put(keys._digest(token), key, keys.changes())
        ApiClient.objects.get().delete()

    assert trusted_key(token) is None
    with pytest.raises(InvalidKey):
        check_token(token)


def test_a_key_that_was_read_while_one_was_revoked_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was read may be the one that was revoked: it is asked for again."""
    token, read = a_token(), keys._read

    def read_before(*asked: Any) -> ApiKey:
        key = read(*asked)
        keys.revoke_key(ApiKey.objects.get())
        return key

    monkeypatch.setattr(keys, "_read", read_before)
    check_token(token)
    monkeypatch.setattr(keys, "_read", read)

    assert trusted_key(token) is None
    with pytest.raises(InvalidKey, match="revoked"):
        check_token(token)


def test_keys_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_KNOWN", 2)
    tokens = [a_token(name) for name in ("one", "two", "three")]

    for token in tokens:
        check_token(token)
        assert len(keys._trusted._keys) <= 2

    assert known_key(tokens[-1]) is not None
    assert known_key(tokens[0]) is None


def test_what_was_asked_before_a_change_is_no_answer_to_who_asks_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks the same while that is under way shares its answer, unless a key or client was changed meanwhile."""
    token, go_on = a_token(), threading.Event()
    asked: list[str] = []

    def slow(token: str) -> ApiKey:
        asked.append(token)
        assert go_on.wait(10)
        return ApiKey(prefix=str(len(asked)))

    async def three() -> None:
        door = KeyChecks()
        first = asyncio.create_task(door.check(token))
        second = asyncio.create_task(door.check(token))
        await asyncio.sleep(0.05)
        assert len(asked) == 1
        keys._trusted.forget()
        third = asyncio.create_task(door.check(token))
        await asyncio.sleep(0.05)
        assert len(asked) == 2
        go_on.set()
        await asyncio.gather(first, second, third)
        await asyncio.sleep(0)
        assert not door._under_way

    monkeypatch.setattr(checks, "_checked", slow)
    asyncio.run(three())


def test_a_key_is_a_bearer_token_and_nothing_else() -> None:
    token = a_token()
    assert bearer_token({"HTTP_AUTHORIZATION": f"bearer  {token} "}) == token
    for other in (token, f"Basic {token}", f"Token {token}", ""):
        assert bearer_token({"HTTP_AUTHORIZATION": other}) is None
    assert bearer_token({}) is None


def test_a_key_can_change_something_by_each_scope_that_is_not_for_reading() -> None:
    reading = {name for name in known_scopes() if name.endswith(":read")}
    assert not can_write(reading)
    assert not can_write([])
    for scope in known_scopes().keys() - reading:
        assert can_write([*reading, scope]), scope
