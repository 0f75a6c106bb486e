"""Secrets and signatures."""

import hashlib
import hmac
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ops.webhooks import signing, subscriptions
from ops.webhooks.models import Webhook
from tests.ops.webhooks.conftest import Configure, a_webhook

verify = {}
exec(signing.VERIFY, verify)  # noqa: S102 - the published snippet, as it stands
is_from_the_bank = verify["is_from_the_bank"]


def test_the_published_snippet_takes_a_genuine_message_and_nothing_else() -> None:
    now = int(time.time())
    secret, other = (signing.secret_of(signing.new_salt()) for _ in range(2))
    header = signing.signature(b'{"a": 1}', now, [secret])

    assert is_from_the_bank(secret, header, b'{"a": 1}')
    assert not is_from_the_bank(secret, header, b'{"a": 2}')
    assert not is_from_the_bank(other, header, b'{"a": 1}')
    assert not is_from_the_bank(secret, header.replace(f"t={now}", f"t={now + 1}"), b'{"a": 1}')
    assert not is_from_the_bank(secret, signing.signature(b'{"a": 1}', now - 301, [secret]), b'{"a": 1}')


def test_the_signature_is_the_documented_hmac() -> None:
    mac = hmac.new(b"whsec_x", b"1700000000.body", hashlib.sha256).hexdigest()
    assert signing.signature(b"body", 1700000000, ["whsec_x"]) == f"t=1700000000,v1={mac}"


def test_secrets_have_256_bits_and_are_all_different() -> None:
    secrets = {signing.secret_of(signing.new_salt()) for _ in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {len("whsec_") + 43}


def test_the_database_holds_no_secret(db: None, port: int) -> None:
    webhook = a_webhook(port)
    secret = signing.secret_of(webhook.salt)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(w)::text || encode(salt, 'base64') FROM ops_webhook w")
        (row,) = cursor.fetchone()
    assert secret.removeprefix("whsec_")[:20] not in row


def test_another_secret_key_is_noticed_and_not_signed_with(configure: Configure) -> None:
    salt = signing.new_salt()
    configure(SECRET_KEY="another-secret-key-of-at-least-thirty-two-characters")
    with pytest.raises(signing.SecretLost, match="needs a new one"):
        signing.secret_of(salt)


def test_a_replaced_secret_signs_beside_the_new_one_for_a_while(webhook: Webhook) -> None:
    now = int(time.time())
    before = signing.secret_of(webhook.salt)

    after, until = subscriptions.replace_secret(webhook.pk)
    webhook.refresh_from_db()

    assert after != before
    assert subscriptions.current_secrets(webhook, timezone.now()) == [after, before]
    assert subscriptions.current_secrets(webhook, until + timedelta(seconds=1)) == [after]
    header = signing.signature(b"x", now, [after, before])
    assert is_from_the_bank(before, header, b"x")
    assert is_from_the_bank(after, header, b"x")


def test_however_often_it_is_replaced_the_secret_that_the_client_holds_goes_on_signing(webhook: Webhook) -> None:
    held = signing.secret_of(webhook.salt)

    lost, second, third = (subscriptions.replace_secret(webhook.pk)[0] for _ in range(3))
    webhook.refresh_from_db()
    until = webhook.previous_until

    assert until is not None
    assert lost not in (second, third)
    assert subscriptions.current_secrets(webhook, timezone.now()) == [third, second, held]
    assert subscriptions.current_secrets(webhook, until + timedelta(seconds=1)) == [third]


def test_a_secret_that_signs_no_more_does_not_come_back_with_the_next_replacement(webhook: Webhook) -> None:
    for _ in range(2):
        subscriptions.replace_secret(webhook.pk)
    Webhook.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    webhook.refresh_from_db()
    before = signing.secret_of(webhook.salt)

    after, _ = subscriptions.replace_secret(webhook.pk)
    webhook.refresh_from_db()

    assert subscriptions.current_secrets(webhook, timezone.now()) == [after, before]
