"""Each list and each page of an account takes a fixed number of queries, whatever is in the tables.

The numbers are kept in `queries.toml`; a list that is not there fails. To write them anew after a change that was
meant: QUERIES=write make test ARGS="tests/pages/test_queries.py", and look at the difference.
"""

import os
import tomllib
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.domain.commands import Deposit
from accounts.models import Import, LedgerProof
from eventstore.models import DeadLetter
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.admin.readonly import ReadOnlyAdmin
from ops.audit.record import record_act
from ops.models import ApiClient, ApiKey, Incident, Resolution, Webhook, WebhookDelivery
from tests.bank import Bank
from tests.staff import make_superuser, signed_in

BUDGETS = Path(__file__).with_name("queries.toml")


def lists() -> dict[str, str]:
    """Name to address: every list in the admin."""
    metas = [model._meta for model, found in admin.site._registry.items() if isinstance(found, ReadOnlyAdmin)]
    return {meta.label_lower: f"/admin/{meta.app_label}/{meta.model_name}/" for meta in metas}


def pages_of(account: UUID) -> dict[str, str]:
    below = ("change/", "statement/", "as-of/?version=2", "fold/", "chain/?after=0", "chain/?after=0&all=1")
    search = f"account={account}&amount=1&words=x&since=2026-01-01&until=2026-01-02"
    found = {"transactions searched": f"/admin/accounts/transaction/?{search}"}
    return found | {f"account {page.strip('/')}": f"/admin/accounts/account/{account}/{page}" for page in below}


def fill(bank: Bank, rows: int) -> UUID:
    """That many rows at least in most tables; an account with a history of that length."""
    ann = bank.open("1000.00")
    for number in range(rows):
        other = bank.open(owner=f"Owner {number}")
        bank.reverse(bank.transfer(ann, other, "1.00").transaction_id)
        bank.do(Deposit(ann, bank.money("1.00")), key=f"{ann} {number}")
        record_act(actor="staff:x", action="look", subject="y", reason="z", done=True, detail={})
        LedgerProof.objects.create(position=1, events=1, streams=1, seconds=0.1, differences=0)
        fill_operations(f"{ann}-{number}")
    catch_up(registered())
    return ann


def fill_operations(name: str) -> None:
    """A row of what no command makes, each with a client or webhook of its own."""
    now = timezone.now()
    client = ApiClient.objects.create(name=name)
    ApiKey.objects.create(client=client, prefix=uuid4().hex[:12], digest=bytes(32), scopes=["ops"], expires_at=now)
    webhook = Webhook.objects.create(client=client, url=f"https://{name}/", event_types=[], starts_after=0, salt=b"")
    WebhookDelivery.objects.create(
        webhook=webhook, event_id=uuid4(), event_type="x", key=uuid4(), sequence=1, body="{}", needs_full_reach=False
    )
    Incident.objects.create(kind="x", subject=name, reason="y", began_at=now, last_seen_at=now)
    Import.objects.create(scope="client:x", key=name, position=1, digest=bytes(32), executed=1, refused=0)
    Resolution.objects.create(action="cancel", outcome="done", actor="x", reason="y")
    DeadLetter.objects.create(state="failed", projection=name, generation=1, position=1, attempts=1, created_at=now)


def count(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200, url
    return len(captured)


@pytest.fixture
def counts(bank: Bank) -> dict[str, list[int]]:
    """Of each page, with little in the tables and with more."""
    root = signed_in(make_superuser())
    found: dict[str, list[int]] = {}
    for rows in (2, 25):
        account = fill(bank, rows)
        for name, url in {"overview": "/admin/", **lists(), **pages_of(account)}.items():
            found.setdefault(name, []).append(count(root, url))
    return found


def test_every_list_keeps_to_its_number_of_queries(counts: dict[str, list[int]]) -> None:
    if os.environ.get("QUERIES") == "write":
        told = "".join(f'"{name}" = {max(each)}\n' for name, each in sorted(counts.items()))
        BUDGETS.write_text(f"# Queries of each page for a superuser; see test_queries.py.\n{told}")
    budgets = tomllib.loads(BUDGETS.read_text())

    assert {name: max(each) for name, each in counts.items() if max(each) > budgets.get(name, 0)} == {}
    assert {name for name in budgets if name not in counts} == set(), "pages that are no more"


def test_a_full_table_takes_no_more_queries_than_an_empty_one(counts: dict[str, list[int]]) -> None:
    assert {name: each for name, each in counts.items() if each[0] != each[1]} == {}
