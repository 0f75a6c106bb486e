"""API keys are issued, told from wrong ones, and revoked."""

import hashlib
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ops.access import keys
from ops.access.keys import InvalidKey, KeyNotIssued, check_token, issue_key, revoke_key
from ops.access.scopes import OPS_READ
from ops.models import ApiClient, ApiKey

pytestmark = pytest.mark.usefixtures("db")


def a_client(name: str = "acme", **fields: object) -> ApiClient:
    return ApiClient.objects.create(name=name, **fields)


def tomorrow() -> datetime:
    return timezone.now() + timedelta(days=1)


def issue(client: ApiClient) -> tuple[ApiKey, str]:
    return issue_key(client=client, scopes=[OPS_READ], expires_at=tomorrow(), issued_by=None)


def test_a_token_opens_its_key_and_only_its_digest_is_kept() -> None:
    staff = User.objects.create_user("ann")
    key, token = issue_key(client=a_client(), scopes=[OPS_READ, OPS_READ], expires_at=tomorrow(), issued_by=staff)

    assert check_token(token).pk == key.pk
    stored = ApiKey.objects.get()
    assert bytes(stored.digest) == hashlib.sha256(token.encode()).digest()
    assert (stored.scopes, stored.created_by) == ([OPS_READ], staff)
    assert token.startswith(f"bk_{stored.prefix}_")
    assert token.removeprefix(f"bk_{stored.prefix}_") not in str(ApiKey.objects.values())


def test_secrets_have_256_random_bits() -> None:
    client = a_client()
    secrets = {issue(client)[1].split("_", 2)[2] for _ in range(50)}

    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {43}


def test_a_key_of_another_client_with_the_same_prefix_form_does_not_open() -> None:
    _, one = issue(a_client("one"))
    _, two = issue(a_client("two"))

    mixed = one[:16] + two[16:]
    with pytest.raises(InvalidKey, match="There is no such API key"):
        check_token(mixed)


def test_an_unknown_prefix_costs_the_comparison_of_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = issue(a_client())
    compared = []
    compare = keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or compare(a, b))

    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), "bk_000000000000_" + token[16:]):
        with pytest.raises(InvalidKey):
            check_token(wrong)

    assert compared == [(32, 32), (32, 32)]


def test_a_revoked_key_is_revoked_once_and_for_good() -> None:
    key, token = issue(a_client())

    assert revoke_key(key)
    first = key.revoked_at
    assert not revoke_key(key)

    assert key.revoked_at == first is not None
    with pytest.raises(InvalidKey, match="revoked"):
        check_token(token)


def test_a_key_ends_at_its_expiry() -> None:
    key, token = issue(a_client())
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(microseconds=1))

    with pytest.raises(InvalidKey, match="expired"):
        check_token(token)


def test_keys_of_an_inactive_client_do_not_open() -> None:
    client = a_client()
    _, token = issue(client)
    ApiClient.objects.update(is_active=False)

    with pytest.raises(InvalidKey, match="not active"):
        check_token(token)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["ops:read", "everything"]}, "scopes"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=timezone.get_default_timezone())}, "expires_at"),
        ({"expires_at": datetime(2999, 1, 1)}, "expires_at"),  # noqa: DTZ001
    ],
)
def test_a_key_that_must_not_be_is_not_issued(change: dict[str, object], field: str) -> None:
    asked = {"client": a_client(), "scopes": [OPS_READ], "expires_at": tomorrow(), "issued_by": None} | change

    with pytest.raises(KeyNotIssued) as refused:
        issue_key(**asked)  # type: ignore[arg-type]

    assert refused.value.field == field
    assert not ApiKey.objects.exists()


def test_an_inactive_client_gets_no_key() -> None:
    with pytest.raises(KeyNotIssued) as refused:
        issue(a_client(is_active=False))

    assert refused.value.field == "client"
    assert not ApiKey.objects.exists()
