"""Every command of staff is recorded, done or refused: who, when, why, from where."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from eventstore.models import Event
from ops.models import AuditEntry
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.staff import make_staff, signed_in


def commands() -> list[AuditEntry]:
    return list(AuditEntry.objects.exclude(action__in=("sign_in", "sign_out")).order_by("id"))


def test_a_command_that_was_executed(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")

    send(teller, f"/admin/accounts/account/{ann}/deposit/", amount="5.00", reason="Cash at the counter")

    (entry,) = commands()
    event = Event.objects.order_by("position").last()
    assert event is not None
    assert (entry.actor, entry.action, entry.subject) == ("staff:teller", "deposit", f"account:{ann}")
    assert (entry.outcome, entry.reason, entry.address) == ("done", "Cash at the counter", "127.0.0.1")
    assert entry.request_id == event.metadata["request_id"]
    assert datetime.now(UTC) - entry.at < timedelta(minutes=1)
    assert entry.detail["transaction_id"] == str(event.command_id)
    assert entry.detail["asked"]["amount"] == "5.00"


def test_a_command_that_was_refused(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")

    send(teller, f"/admin/accounts/account/{ann}/withdraw/", amount="5.00", reason="Wants cash")

    (entry,) = commands()
    assert (entry.action, entry.outcome, entry.reason) == ("withdraw", "refused", "Wants cash")
    assert entry.detail["code"] == "insufficient_funds"
    assert entry.detail["asked"]["amount"] == "5.00"


def test_a_command_that_the_role_does_not_allow(bank: Bank) -> None:
    ann = bank.open("1.00")
    viewer = signed_in(make_staff("viewer"))

    viewer.post(f"/admin/accounts/account/{ann}/withdraw/", {"amount": "1.00", "reason": "Let me"})

    (entry,) = commands()
    assert (entry.actor, entry.outcome, entry.reason) == ("staff:viewer", "refused", "Let me")
    assert entry.detail == {"code": "permission_denied"}


def test_an_opened_account_is_named_in_its_entry(bank: Bank, teller: Client) -> None:
    send(teller, "/admin/accounts/account/open/", owner="Dora")

    (entry,) = commands()
    assert entry.subject == f"account:{Event.objects.get().aggregate_id}"


def test_a_form_with_errors_is_no_command_and_leaves_no_entry(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")

    teller.post(f"/admin/accounts/account/{ann}/deposit/", {"idempotency_key": str(uuid4())})

    assert commands() == []


def test_entries_are_for_the_auditor_to_read_and_to_search(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")
    send(teller, f"/admin/accounts/account/{ann}/deposit/", amount="5.00", reason="Cash at the counter")
    auditor = signed_in(make_staff("auditor"))

    for query, found in (
        ("", True),
        ("actor=staff:teller", True),
        (f"subject=account:{ann}", True),
        ("actor=x", False),
    ):
        page = auditor.get(f"/admin/ops/auditentry/?{query}").content.decode()
        assert ("Cash at the counter" in page) is found, query
    (entry,) = commands()
    assert "transaction_id" in auditor.get(f"/admin/ops/auditentry/{entry.pk}/change/").content.decode()


@pytest.mark.parametrize("statement", ["UPDATE ops_auditentry SET reason = ''", "DELETE FROM ops_auditentry"])
def test_entries_cannot_be_altered_even_with_the_application_role(bank: Bank, teller: Client, statement: str) -> None:
    ann = bank.open("1.00")
    send(teller, f"/admin/accounts/account/{ann}/deposit/", amount="5.00")

    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(statement)

    assert len(commands()) == 1
