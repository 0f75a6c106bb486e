"""Every command of staff is recorded, done or refused: who, when, why, from where."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from eventstore.models import Event
from ops.models import AuditEntry
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.plans import rows_read
from tests.staff import make_staff, make_superuser, signed_in


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


def test_entries_are_found_by_what_was_done_and_in_a_window_of_time(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")
    send(teller, f"/admin/accounts/account/{ann}/deposit/", amount="5.00", reason="First")
    send(teller, f"/admin/accounts/account/{ann}/withdraw/", amount="1.00", reason="Second")
    at = commands()[1].at
    later, earlier = at + timedelta(seconds=1), at - timedelta(days=1)
    auditor = signed_in(make_staff("auditor"))

    for query, found in (
        ("action=withdraw", ["Second"]),
        ("action=transfer", []),
        (f"since={earlier:%Y-%m-%dT%H:%M}&actor=staff:teller&action=deposit", ["First"]),
        (f"since={earlier:%Y-%m-%dT%H:%M}&until={later:%Y-%m-%d %H:%M:%S}&action=withdraw", ["Second"]),
        (f"until={earlier:%Y-%m-%d}", []),
        (f"subject={ann}", ["Second", "First"]),
    ):
        page = auditor.get(f"/admin/ops/auditentry/?{query}")
        assert [row[5][1] for row in page.context["rows"]] == found, query


def test_pages_lead_to_what_staff_did_about_account_transaction_and_hold(bank: Bank, supervisor: Client) -> None:
    ann, root = bank.open("10.00"), signed_in(make_superuser())
    hold, paid = bank.hold(ann, "1.00"), bank.withdraw(ann, "2.00").transaction_id
    send(supervisor, f"/admin/accounts/account/{ann}/freeze/", reason="Frozen because")
    send(supervisor, f"/admin/accounts/account/{ann}/unfreeze/", reason="Unfrozen because")
    send(supervisor, f"/admin/accounts/hold/{hold}/release-hold/", reason="Released because")
    send(supervisor, f"/admin/accounts/transaction/of/{paid}/reverse/", reason="Reversed because")

    for page, told in (
        (f"/admin/accounts/account/{ann}/change/", ["Unfrozen because", "Frozen because"]),
        (f"/admin/accounts/hold/{hold}/change/", ["Released because"]),
        (f"/admin/accounts/transaction/of/{paid}/", ["Reversed because"]),
    ):
        (url,) = re.findall(r'href="(/admin/ops/auditentry/\?subject=[^"]+)"', root.get(page).content.decode())
        assert [row[5][1] for row in root.get(url).context["rows"]] == told
    assert "/admin/ops/auditentry/" not in supervisor.get(f"/admin/accounts/account/{ann}/change/").content.decode()


MANY, PAGE = 20_000, 50


@pytest.fixture
def many_entries(db: None, sweeper: psycopg.Connection) -> None:
    """Twenty thousand entries, one a second; every thousandth is a rare one."""
    sweeper.execute(
        """
        INSERT INTO ops_auditentry (at, actor, action, subject, outcome, reason, detail, address, request_id)
        SELECT '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', 'staff:s' || n %% 50,
               CASE WHEN n %% 1000 = 0 THEN 'close' ELSE 'sign_in' END, 'account:' || n, 'done', '', '{}', '', ''
          FROM generate_series(1, %s) AS n
        """,
        (MANY,),
    )
    sweeper.execute("VACUUM ANALYZE ops_auditentry")


@pytest.mark.usefixtures("many_entries")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "action=sign_in",
        "action=close",
        "action=transfer",
        "until=2026-01-01T01:00",
        "since=2026-01-01T01:00&until=2026-01-01T01:30",
        "action=sign_in&until=2026-01-01T01:00",
        "subject=17",
    ],
)
def test_a_page_of_entries_is_found_by_an_index_in_a_table_of_any_size(query: str) -> None:
    auditor = signed_in(make_staff("auditor"))
    with CaptureQueriesContext(connection) as captured:
        assert auditor.get(f"/admin/ops/auditentry/?{query}").status_code == 200

    (sql,) = [q["sql"] for q in captured if 'FROM "ops_auditentry"' in q["sql"] and "LIMIT" in q["sql"]]
    assert rows_read(sql) <= 2 * PAGE


@pytest.mark.parametrize("statement", ["UPDATE ops_auditentry SET reason = ''", "DELETE FROM ops_auditentry"])
def test_entries_cannot_be_altered_even_with_the_application_role(bank: Bank, teller: Client, statement: str) -> None:
    ann = bank.open("1.00")
    send(teller, f"/admin/accounts/account/{ann}/deposit/", amount="5.00")

    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(statement)

    assert len(commands()) == 1
