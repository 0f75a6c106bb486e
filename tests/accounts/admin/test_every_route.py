"""Every address of the admin, found in the URL resolver, as each role: what a role may not do is neither shown nor
possible by a hand-made request, and the auditor changes nothing at all."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from accounts.domain.commands import Deposit
from accounts.models import Interest, LedgerProof
from accounts.roles import ROLES
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.jobs import asking
from ops.models import SignInLock
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.ops.admin.dialog import asked
from tests.pages.test_queries import fill_operations
from tests.routes import filled, routes
from tests.staff import make_staff, make_superuser, signed_in

OF_ONESELF = re.compile(r"admin/(second-factor|my-sign-in|login|logout|password_change|jsi18n|<)")
"""What concerns one's own account alone, and what catches all other addresses."""
TRACES = {"ops_auditentry", "ops_viewing", "ops_staffsession", "ops_signinlock"}
"""Tables that say who looked and who tried."""
REFUSED = {302, 403, 404, 405}
SAMPLES = {"cacheaccess": {"cache": "account"}}
"""Parameters of addresses that are of no table, by model."""
BY_POST_ALONE = {
    "accounts_transaction_change": "",
    "auth_group_delete": "",
    "auth_group_history": "",
    "auth_user_delete": "",
    "auth_user_history": "",
    "eventstore_deadletter_acknowledge_several": "eventstore.resolve_deadletter",
    "eventstore_deadletter_retry_several": "eventstore.resolve_deadletter",
    "eventstore_idempotencyrecord_change": "",
    "eventstore_idempotencyrecord_page": "",
    "eventstore_stream_recover_several": "eventstore.recover_stream",
    "eventstore_stream_replay_several": "eventstore.replay_stream",
    "ops_apiclient_delete": "",
    "ops_apiclient_history": "",
    "ops_approval_collect": "",
    "ops_approval_decide": "ops.decide_approval",
    "ops_approval_withdraw": "",
    "ops_cache_evict": "ops.reset_pool",
    "ops_job_cancel": "accounts.verify_ledger",
}
"""Addresses that show no page of their own: the permission that a POST asks for (of the job, that of its action); ""
where it does nothing for anybody but who asked, or nothing at all."""
HAND_MADE = {
    "reason": "I want to",
    "amount": "1.00",
    "confirmed": "x",
    "action": "approve",
    "post": "yes",
    "_save": "1",
}


@dataclass
class Walk:
    """A member of staff who tries every address."""

    client: Client
    paths: list[str]
    status: dict[str, int] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)

    def look(self) -> None:
        """GETs all of them, and notes what leads where."""
        for path in self.paths:
            answer: Any = self.client.get(path)
            self.status[path] = answer.status_code
            if answer.status_code == 200 and answer.get("Content-Type", "").startswith("text/html"):
                text = answer.content.decode()
                self.shown |= set(re.findall(r'(?:href|action)="(/admin/[^"#?]*)', text))

    def forbidden(self) -> list[str]:
        return [path for path, status in self.status.items() if status == 403]


@pytest.fixture
def books(bank: Bank) -> Bank:
    """A row of most kinds."""
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    moved = bank.transfer(ann, bob, "10.00")
    bank.reverse(moved.transaction_id)
    bank.do(Deposit(ann, bank.money("1.00")), key="k")
    bank.hold(ann, "5.00")
    Interest.objects.create(account_id=ann, month="2026-01-01", kind="earned", currency="EUR", exact=1, amount=1)
    LedgerProof.objects.create(position=1, events=1, streams=1, seconds=0.1, differences=0)
    fill_operations("acme")
    asking.make("verify_ledger", subject="ledger", input={}, reason="x", actor="staff:x")
    alice = signed_in(make_staff("supervisor", name="alice"))
    alice.get("/admin/accounts/account/")  # which is noted
    asked(send(alice, f"/admin/accounts/account/{ann}/change-overdraft-limit/", limit="50.00"))
    now = "2026-01-01T00:00Z"
    SignInLock.objects.create(key="user:0", label="staff:x", failures=1, failed_at=now, blocked_until=now)
    catch_up(registered())
    return bank


def paths() -> list[str]:
    """Each route of the admin with the key of a row that is there, where there is one."""
    return [_path(route) for route, _ in routes("admin/") if not OF_ONESELF.match(route)]


def _path(route: str) -> str:
    parts = route.split("/")
    names = re.findall(r"<(?:\w+:)?(\w+)>", route)
    row = None
    if names and parts[1] in apps.app_configs:
        model = apps.get_model(parts[1], parts[2])
        if model._meta.model_name in SAMPLES:
            return filled(route, SAMPLES[model._meta.model_name])
        row = model.objects.first() if model._meta.db_table in connection.introspection.table_names() else None
    return filled(route, {name: str(getattr(row, name, row.pk)) for name in names} if row else None)


def everything(sweeper: psycopg.Connection) -> dict[str, Any]:
    """A digest of each table but those that hold traces."""
    tables = sweeper.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {
        name: sweeper.execute(
            f"SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {name} t"
        ).fetchone()
        for (name,) in tables
        if name not in TRACES
    }


def walk_as(user: User) -> Walk:
    return Walk(signed_in(user), paths())


def test_there_is_something_to_walk(books: Bank) -> None:
    found = paths()

    assert len(found) > 80
    assert "/admin/ops/auditentry/" in found


def named_paths() -> dict[str, str]:
    return {name: _path(route) for route, name in routes("admin/") if name and not OF_ONESELF.match(route)}


def test_every_address_leads_to_something_or_is_known_to_work_by_post_alone(books: Bank) -> None:
    """One that comes by and by needs a row in the scene, or a line in the table."""
    root = signed_in(make_superuser())

    assert {name for name, path in named_paths().items() if root.get(path).status_code != 200} == set(BY_POST_ALONE)


def may(role: str, permission: str) -> bool:
    return permission in ROLES.get(role, ())


@pytest.mark.parametrize("role", [*sorted(ROLES), "nobody"])
def test_what_works_by_post_alone_is_refused_to_each_role_without_the_permission(
    books: Bank, sweeper: psycopg.Connection, role: str
) -> None:
    paths = named_paths()
    user = make_staff(role if role in ROLES else "viewer", name="somebody")
    if role not in ROLES:
        user.groups.clear()
    client = signed_in(user)
    before = everything(sweeper)

    def post(names: Collection[str]) -> dict[str, int]:
        return {name: client.post(paths[name], HAND_MADE).status_code for name in names}

    lacking = [name for name, permission in BY_POST_ALONE.items() if permission and not may(role, permission)]
    idle = [name for name, permission in BY_POST_ALONE.items() if not permission]
    assert set(post(lacking).values()) <= {403}
    assert set(post(idle).values()) <= REFUSED
    assert everything(sweeper) == before

    allowed = [name for name, permission in BY_POST_ALONE.items() if may(role, permission)]
    assert not {403, 404, 500} & set(post(allowed).values()), "it was the permission that was missing"


@pytest.mark.parametrize("role", [*sorted(ROLES), "nobody"])
def test_what_a_role_may_not_do_is_neither_shown_nor_possible(
    books: Bank, sweeper: psycopg.Connection, role: str
) -> None:
    user = make_staff(role if role in ROLES else "viewer", name="somebody")
    if role not in ROLES:
        user.groups.clear()
    walk = walk_as(user)
    walk.look()
    assert walk.status["/admin/"] == 200
    assert not [path for path, status in walk.status.items() if status >= 500]
    assert walk.forbidden(), "every role lacks something"
    before = everything(sweeper)

    answers = {path: walk.client.post(path, HAND_MADE).status_code for path in walk.forbidden()}

    assert {path: status for path, status in answers.items() if status not in (403, 404, 405)} == {}
    assert everything(sweeper) == before
    shown = {path: walk.status.get(path) or walk.client.get(path).status_code for path in sorted(walk.shown)}
    assert [path for path, status in shown.items() if status == 403] == [], "a link that leads to a refusal"


def test_the_auditor_sees_every_list_and_changes_nothing(books: Bank, sweeper: psycopg.Connection) -> None:
    user = make_staff("auditor", name="somebody")
    walk = walk_as(user)
    before = everything(sweeper)

    walk.look()
    answers = {path: walk.client.post(path, HAND_MADE).status_code for path in walk.paths}

    assert everything(sweeper) == before
    lists = [filled(route) for route, name in routes("admin/") if name.endswith("_changelist")]
    assert {path: walk.status[path] for path in lists if walk.status[path] != 200} == {}
    may_send = {path for path, status in answers.items() if status not in REFUSED}
    assert {path for path in may_send if not path.endswith("/export/")} == {"/admin/"}, "the overview is only shown"


def test_every_list_that_was_looked_at_is_on_record(books: Bank) -> None:
    from ops.models import Viewing

    client = signed_in(make_staff("auditor", name="somebody"))
    lists = [name for _, name in routes("admin/") if name.endswith("_changelist") and "access_change" not in name]

    for route, name in routes("admin/"):
        if name in lists:
            client.get(filled(route))

    noted = {what.replace(".", "_") + "_changelist" for what in Viewing.objects.values_list("what", flat=True)}
    assert set(lists) - noted == set()
