"""Nothing in the admin edits or deletes an event, a posting or anything that follows from them."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.domain.commands import Deposit
from accounts.models import Account, DailyBalance, Hold, JournalLine, LedgerProof, Reversal, Transaction
from eventstore.models import Event, IdempotencyRecord, ProjectionState, Stream
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.admin.readonly import ReadOnlyAdmin
from ops.models import ApiKey, AuditEntry
from tests.bank import Bank
from tests.staff import make_superuser, sign_in, signed_in

READ_ONLY = [
    Account,
    Transaction,
    JournalLine,
    DailyBalance,
    Reversal,
    Hold,
    LedgerProof,
    Event,
    Stream,
    IdempotencyRecord,
    ProjectionState,
    AuditEntry,
    ApiKey,
]


@pytest.fixture
def books(bank: Bank) -> Bank:
    """A row of each kind."""
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    moved = bank.transfer(ann, bob, "10.00")
    bank.reverse(moved.transaction_id)
    bank.do(Deposit(ann, bank.money("1.00")), key="k")
    bank.hold(ann, "5.00")
    LedgerProof.objects.create(position=1, events=1, streams=1, seconds=0.1, differences=0)
    catch_up(registered())
    return bank


def everything() -> dict[str, list[Any]]:
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in READ_ONLY}


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_even_a_superuser_changes_nothing_by_a_hand_made_request(books: Bank, model: Any) -> None:
    client = signed_in(make_superuser())
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    key = getattr(model.objects.first(), "pk", 1)
    before = everything()

    sent: list[tuple[str, dict[str, Any]]] = [
        (f"{base}/add/", {"owner": "Eve", "balance": 10**9, "_save": "Save"}),
        (f"{base}/{key}/change/", {"owner": "Eve", "balance": 10**9, "data": "{}", "_save": "Save"}),
        (f"{base}/{key}/delete/", {"post": "yes"}),
        (f"{base}/", {"action": "delete_selected", "_selected_action": [key], "post": "yes"}),
        (f"{base}/", {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": key, "_save": "Save"}),
        (f"{base}/{key}/history/", {}),
    ]
    for path, data in sent:
        assert client.post(path, data).status_code in (403, 404, 405), path
        assert client.put(path).status_code in (403, 404, 405), path
        assert client.delete(path).status_code in (403, 404, 405), path

    assert everything() == before


def test_every_model_of_the_bank_in_the_admin_is_read_only_or_audited() -> None:
    """A model that is registered by and by must be decided on, here and in its admin."""
    free = {
        model.__name__
        for model, model_admin in admin.site._registry.items()
        if not isinstance(model_admin, ReadOnlyAdmin)
    }

    assert free == {"ApiClient", "User", "Group"}
    assert {model for model in READ_ONLY if not isinstance(admin.site._registry.get(model), ReadOnlyAdmin)} == set()


def test_no_permission_to_change_the_books_exists(db: None) -> None:
    """So no role can be given one, not by mistake either."""
    for model in READ_ONLY:
        assert model._meta.default_permissions == ("view",)
    of_the_books = Permission.objects.filter(content_type__app_label__in=("accounts", "eventstore"))
    changing = of_the_books.filter(codename__regex="^(add|change|delete)_").values_list("codename", flat=True)
    assert list(changing) == ["change_overdraft_limit"]


@pytest.mark.parametrize(
    "path",
    [
        f"accounts/account/{UUID(int=1)}/change/",
        "accounts/account/nonsense/change/",
        f"accounts/account/{UUID(int=1)}/deposit/",
        f"accounts/transaction/of/{UUID(int=1)}/",
        f"accounts/transaction/of/{UUID(int=1)}/reverse/",
        "accounts/transaction/99/change/",
        "eventstore/event/99/change/",
        f"eventstore/event/{10**40}/change/",
        f"eventstore/stream/{UUID(int=1)}/change/",
        "ops/auditentry/99/change/",
        "ops/apikey/99/change/",
        "ops/apikey/99/revoke/",
        "nonsense/",
    ],
)
def test_what_does_not_exist_is_not_found(db: None, path: str) -> None:
    answer = signed_in(make_superuser()).get(f"/admin/{path}")

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


def test_a_form_without_its_csrf_token_is_not_accepted(bank: Bank) -> None:
    ann = bank.open("1.00")
    client = Client(enforce_csrf_checks=True)
    sign_in(client, make_superuser())
    before = bank.footprint()

    answer = client.post(f"/admin/accounts/account/{ann}/deposit/", {"amount": "1.00", "reason": "x"})

    assert answer.status_code == 403
    assert bank.footprint() == before
