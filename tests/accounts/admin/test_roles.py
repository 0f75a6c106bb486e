"""What each role may see and do: as a table, both by what is shown and by what a hand-made request can do."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.roles import ROLES
from eventstore.models import Event
from ops.models import ApiClient, ApiKey, AuditEntry
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.ops.admin.dialog import asked, decide
from tests.staff import make_staff, signed_in

TELLERS = {"teller", "supervisor"}
OPERATORS = {"operator", "supervisor"}
EVERYONE = set(ROLES)
TECHNICAL = {"operator", "supervisor", "auditor"}

MAY_DO = {
    "open": TELLERS,
    "deposit": TELLERS,
    "withdraw": TELLERS,
    "transfer": TELLERS,
    "change-overdraft-limit": {"supervisor"},
    "freeze": OPERATORS,
    "unfreeze": OPERATORS,
    "close": {"supervisor"},
    "reverse": {"supervisor"},
    "place-hold": TELLERS,
    "capture-hold": TELLERS,
    "release-hold": TELLERS | OPERATORS,
}
TWO_PERSONS = {"change-overdraft-limit"}
MAY_SEE = {
    "accounts/account/": EVERYONE,
    "accounts/transaction/": EVERYONE,
    "accounts/journalline/": EVERYONE,
    "accounts/dailybalance/": EVERYONE,
    "accounts/ledgerday/": EVERYONE,
    "accounts/interest/": EVERYONE,
    "accounts/interestrate/": EVERYONE,
    "accounts/reversal/": EVERYONE,
    "accounts/hold/": EVERYONE,
    "accounts/ledgerproof/": TECHNICAL,
    "accounts/import/": TECHNICAL,
    "eventstore/event/": TECHNICAL,
    "eventstore/stream/": TECHNICAL,
    "eventstore/idempotencyrecord/": TECHNICAL,
    "eventstore/projectionstate/": TECHNICAL,
    "ops/operationsaccess/": TECHNICAL,
    "ops/operationsaccess/end-transactions/": OPERATORS,
    "ops/operationsaccess/reset-pools/": OPERATORS,
    "ops/operationsaccess/clean-up/": OPERATORS,
    "ops/cacheaccess/": TECHNICAL,
    "ops/cacheaccess/account/evict/?on=all": OPERATORS,
    "ops/cacheaccess/account/warm/": OPERATORS,
    "ops/breakersaccess/": TECHNICAL,
    "eventstore/kafkaaccess/": TECHNICAL,
    "ops/operationsaccess/end-operation/00000000-0000-7000-8000-000000000001/": OPERATORS,
    "ops/job/": TECHNICAL,
    "ops/approval/": TECHNICAL,
    "accounts/ledgerproof/verify/": OPERATORS,
    "eventstore/deadletter/retry/?on=all": OPERATORS,
    "ops/incident/": TECHNICAL,
    "ops/resolution/": TECHNICAL,
    "ops/apiclient/": {"supervisor", "auditor"},
    "ops/apikey/": {"supervisor", "auditor"},
    "ops/apikey/issue/": {"supervisor"},
    "ops/apiclient/add/": {"supervisor"},
    "ops/auditentry/": {"auditor"},
    "auth/user/": {"auditor"},
    "auth/group/": {"auditor"},
    "auth/user/add/": set(),
}


@dataclass
class Scene:
    """A bank in which every command can succeed, if the role allows it."""

    bank: Bank
    ann: UUID
    bob: UUID
    frozen: UUID
    empty: UUID
    transaction: UUID
    hold: UUID

    def command(self, name: str) -> tuple[str, str, dict[str, str]]:
        """Where a command is offered, where its form is, and what is filled in."""
        accounts = "/admin/accounts/account/"
        on = {"unfreeze": self.frozen, "close": self.empty}.get(name, self.ann)
        fields = {
            "open": {"owner": "Cid"},
            "deposit": {"amount": "1.00"},
            "withdraw": {"amount": "1.00"},
            "transfer": {"amount": "1.00", "target_account_id": str(self.bob)},
            "change-overdraft-limit": {"limit": "5.00"},
            "place-hold": {"amount": "1.00"},
        }.get(name, {})
        if name == "open":
            return accounts, f"{accounts}open/", fields
        if name == "reverse":
            page = f"/admin/accounts/transaction/of/{self.transaction}/"
            return page, f"{page}reverse/", fields
        if name in ("capture-hold", "release-hold"):
            return f"/admin/accounts/hold/{self.hold}/change/", f"/admin/accounts/hold/{self.hold}/{name}/", fields
        return f"{accounts}{on}/change/", f"{accounts}{on}/{name}/", fields


@pytest.fixture
def scene(bank: Bank) -> Scene:
    ann, bob, frozen, empty = (
        bank.open("100.00"),
        bank.open(owner="Bob"),
        bank.open(owner="Fay"),
        bank.open(owner="Eve"),
    )
    bank.freeze(frozen)
    return Scene(bank, ann, bob, frozen, empty, bank.deposit(ann, "2.00").transaction_id, hold=bank.hold(ann, "9.00"))


def table(rows: dict[str, set[str]]) -> list[Any]:
    return [
        pytest.param(role, what, role in who, id=f"{role}-{what}") for what, who in rows.items() for role in ROLES
    ]


@pytest.mark.parametrize(("role", "command", "allowed"), table(MAY_DO))
def test_a_role_gives_the_commands_that_are_its_own_and_no_other(
    scene: Scene, role: str, command: str, allowed: bool
) -> None:
    client = signed_in(make_staff(role))
    offered_at, form_at, fields = scene.command(command)

    assert (f'href="{form_at}"' in client.get(offered_at).content.decode()) is allowed
    assert client.get(form_at).status_code == (200 if allowed else 403)

    before = scene.bank.footprint()
    if allowed and command in TWO_PERSONS:
        approval = asked(send(client, form_at, **fields))
        assert scene.bank.footprint() == before
        assert decide(signed_in(make_staff(role, name="second")), approval).outcome == "done"
        assert scene.bank.footprint() != before
        return
    if allowed:
        assert send(client, form_at, **fields).status_code == 302
        assert Event.objects.order_by("position").last().metadata["actor"] == f"staff:{role}"  # type: ignore[union-attr]
        assert scene.bank.footprint() != before
    else:
        hand_made = {**fields, "reason": "I want to", "idempotency_key": str(uuid4()), "expected_version": "1"}
        assert client.post(form_at, hand_made).status_code == 403
        assert scene.bank.footprint() == before
    entry = AuditEntry.objects.exclude(action="sign_in").get()
    assert (entry.actor, entry.outcome) == (f"staff:{role}", "done" if allowed else "refused")


@pytest.mark.parametrize(("role", "page", "allowed"), table(MAY_SEE))
def test_a_role_sees_the_pages_that_are_its_own_and_no_other(bank: Bank, role: str, page: str, allowed: bool) -> None:
    client = signed_in(make_staff(role))

    assert client.get(f"/admin/{page}").status_code == (200 if allowed else 403)

    if page.count("/") == 2:
        assert (f'href="/admin/{page}"' in client.get("/admin/").content.decode()) is allowed


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"supervisor"}))
def test_only_a_supervisor_makes_clients_and_keys(db: None, role: str) -> None:
    client = signed_in(make_staff(role))
    acme = ApiClient.objects.create(name="acme")
    key = ApiKey.objects.create(
        client=acme, prefix="0" * 12, digest=bytes(32), scopes=["ops"], expires_at="2099-01-01T00:00:00Z"
    )

    sent = [
        client.post("/admin/ops/apiclient/add/", {"name": "mine", "reach": "all", "reason": "x"}),
        client.post(f"/admin/ops/apiclient/{acme.pk}/change/", {"reach": "all", "is_active": "on", "reason": "x"}),
        client.post("/admin/ops/apikey/issue/", {"client": acme.pk, "scopes": "ops", "expires_on": "2099-01-01"}),
        client.post(f"/admin/ops/apikey/{key.pk}/revoke/", {"reason": "x"}),
    ]

    assert [answer.status_code for answer in sent] == [403] * 4
    assert list(ApiClient.objects.values_list("name", "reach")) == [("acme", "own")]
    assert list(ApiKey.objects.values_list("revoked_at", flat=True)) == [None]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_no_role_makes_or_changes_staff(db: None, role: str) -> None:
    user = make_staff(role)
    client = signed_in(user)

    sent = [
        client.post("/admin/auth/user/add/", {"username": "more", "reason": "x"}),
        client.post(f"/admin/auth/user/{user.pk}/change/", {"username": role, "is_superuser": "on", "reason": "x"}),
        client.post(f"/admin/auth/user/{user.pk}/password/", {"password1": "p", "password2": "p", "reason": "x"}),
        client.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"}),
        client.post(f"/admin/auth/group/{user.groups.get().pk}/change/", {"name": "all", "reason": "x"}),
    ]

    assert {answer.status_code for answer in sent} == {403}
    user.refresh_from_db()
    assert not user.is_superuser


@pytest.mark.parametrize("role", sorted(ROLES))
def test_the_migrations_made_each_role_as_the_table_says(db: None, role: str) -> None:
    """A change of the table without a migration that grants it anew shows here."""
    granted = Group.objects.get(name=role).permissions.select_related("content_type")

    assert {f"{p.content_type.app_label}.{p.codename}" for p in granted} == ROLES[role]


def test_who_is_not_signed_in_is_sent_to_the_sign_in(scene: Scene) -> None:
    anonymous = Client()
    before = scene.bank.footprint()

    for path in ("/admin/", "/admin/eventstore/event/", scene.command("deposit")[1]):
        assert anonymous.get(path).headers["Location"].startswith("/admin/login/")
        assert anonymous.post(path, {"amount": "1.00"}).headers["Location"].startswith("/admin/login/")

    assert scene.bank.footprint() == before


def test_an_api_client_does_not_get_into_the_admin(db: None) -> None:
    assert Client().get("/admin/", headers={"Authorization": "Bearer bk_0_0"}).status_code == 302


def test_a_member_of_staff_without_a_role_sees_what_to_do(db: None) -> None:
    user = make_staff("viewer")
    user.groups.clear()

    page = signed_in(user).get("/admin/")

    assert "Ask an administrator to give you a role" in page.content.decode()
