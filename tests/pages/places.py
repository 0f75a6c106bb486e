"""Every page of the admin that shows something, as data: its address, who may see it, and what it offers to do."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.contrib import admin

from accounts.admin.accounts import PAGES_BELOW
from accounts.admin.commands.pages import ACCOUNT_COMMANDS, HOLD_COMMANDS, OPEN_ONLY
from accounts.domain.commands import Deposit
from accounts.models import DailyBalance, Interest, JournalLine, LedgerProof, Reversal, Transaction
from eventstore.models import Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.html import page_of
from ops.models import AuditEntry, Incident, Resolution, Viewing
from tests.accounts.earning import JANUARY, rate
from tests.pages import things
from tests.pages.actions import view
from tests.pages.test_accounts import some_history
from tests.pages.test_queries import fill_operations
from tests.pages.things import READ_MODEL, Stage, url
from tests.staff import signed_in


@dataclass(frozen=True)
class Scene:
    """A bank with a row of every kind, on which nothing is done: what is done is done to new ones."""

    ann: UUID
    transaction: UUID
    pages: "dict[str, str]"
    """By model: the page of a row on which all that the model offers may be done."""


@dataclass(frozen=True)
class Place:
    route: str
    path: str
    permissions: tuple[str, ...]
    offers: Collection[str] = ()
    """Names of the URLs to which buttons and links lead that do something."""


REPAIRS = ("eventstore_stream_replay", "eventstore_stream_recover")
SEVERAL = ("eventstore_stream_replay_several", "eventstore_stream_recover_several")
ON_LISTS: dict[str, tuple[str, ...]] = {
    "accounts.account": (
        "accounts_account_open",
        "eventstore_stream_replay_several",
        "eventstore_stream_recover_several",
    ),
    "accounts.interest": ("accounts_interest_book",),
    "accounts.interestrate": ("accounts_interestrate_set",),
    "accounts.ledgerproof": ("accounts_ledgerproof_verify",),
    "auth.group": ("auth_group_add",),
    "auth.user": ("auth_user_add",),
    "eventstore.deadletter": ("eventstore_deadletter_retry_several", "eventstore_deadletter_acknowledge_several"),
    "eventstore.projectionstate": ("eventstore_projection_compare", "eventstore_projection_swap"),
    "eventstore.stream": SEVERAL,
    "ops.apiclient": ("ops_apiclient_add",),
    "ops.apikey": ("ops_apikey_issue",),
    "ops.cacheaccess": ("ops_cache_evict", "ops_cache_warm"),
    "ops.operationsaccess": ("ops_end-transactions", "ops_reset-pools", "ops_clean-up"),
}
ON_ROWS: dict[str, tuple[str, ...]] = {
    "accounts.account": (
        *(page.url_name for page in ACCOUNT_COMMANDS if page.statuses >= OPEN_ONLY),
        *REPAIRS,
    ),
    "accounts.hold": tuple(page.url_name for page in HOLD_COMMANDS),
    "accounts.import": ("accounts_import_stop",),
    "auth.group": ("auth_group_add", "auth_group_change"),
    "auth.user": ("auth_user_add", "auth_user_change", "auth_user_password_change", "auth_user_reset_second_factor"),
    "eventstore.deadletter": (
        "eventstore_deadletter_retry",
        "eventstore_deadletter_discard",
        "eventstore_stream_replay",
    ),
    "eventstore.projectionstate": tuple(
        f"eventstore_projection_{what}" for what in ("pause", "compare", "swap", "undo")
    ),
    "eventstore.stream": REPAIRS,
    "ops.apiclient": ("ops_apiclient_add", "ops_apiclient_change", "ops_apikey_issue"),
    "ops.apikey": ("ops_apikey_revoke",),
    "ops.approval": ("ops_approval_decide",),
    "ops.job": ("ops_job_cancel",),
    "ops.signinlock": ("ops_signinlock_unlock",),
    "ops.webhook": ("ops_webhook_pause",),
    "ops.webhookdelivery": ("ops_webhookdelivery_again",),
}


def scene(stage: Stage) -> Scene:
    bank = stage.bank
    ann, _ = some_history(bank)
    bank.do(Deposit(ann, bank.money("1.00")), key="k")
    things.cached(stage)
    fill_operations("acme")
    Interest.objects.create(account_id=ann, month=JANUARY, kind="earned", currency="EUR", exact=1, amount=1)
    rate(JANUARY, 25_000)
    LedgerProof.objects.create(position=1, events=1, streams=1, seconds=0.1, differences=0)
    signed_in(stage.another).get(url("accounts_account_changelist"))  # which is noted
    made = {
        "accounts.hold": things.hold(HOLD_COMMANDS[0]),
        "accounts.import": things.running_import("stop"),
        "auth.group": things.role,
        "auth.user": things.member_of_staff("change"),
        "eventstore.deadletter": things.letter("retry"),
        "ops.apiclient": things.existing_client,
        "ops.apikey": things.valid_key,
        "ops.approval": things.anothers_question,
        "ops.job": things.waiting_job,
        "ops.signinlock": things.locked_out,
        "ops.webhook": things.webhook("pause"),
        "ops.webhookdelivery": things.delivery,
    }
    pages = {model: make(stage).page for model, make in made.items()}
    catch_up(registered())
    latest = (DailyBalance, Interest, JournalLine, LedgerProof, Reversal, Event, Incident, Resolution, Viewing)
    pages |= {m._meta.label_lower: page_of(m._meta.label_lower, m.objects.latest("pk").pk) for m in latest}
    pages |= {
        "accounts.account": page_of("accounts.account", ann),
        "eventstore.projectionstate": page_of("eventstore.projectionstate", READ_MODEL),
        "eventstore.stream": page_of("eventstore.stream", ann),
        "ops.auditentry": page_of("ops.auditentry", AuditEntry.objects.latest("pk").pk),
    }
    return Scene(ann, Transaction.objects.filter(account_id=ann).latest("version").transaction_id, pages)


def places(scene: Scene) -> list[Place]:
    return [*_lists(), *_rows(scene), *_others(scene)]


def _lists() -> Iterator[Place]:
    for model, model_admin in admin.site._registry.items():
        label, name = model._meta.label_lower, model._meta.label_lower.replace(".", "_")
        export = [f"{name}_export"] if hasattr(model_admin, "export_view") else []
        route = f"{name}_changelist"
        yield Place(route, url(route), (view(label),), [*ON_LISTS.get(label, ()), *export])


def _rows(scene: Scene) -> Iterator[Place]:
    for label, path in scene.pages.items():
        yield Place(f"{label.replace('.', '_')}_change", path, (view(label),), ON_ROWS.get(label, ()))


def _others(scene: Scene) -> Iterator[Place]:
    yield Place("index", url("index"), (), ["accounts_account_open"])
    for name, (_, (_, _, permission)) in PAGES_BELOW.items():
        route, permissions = f"accounts_account_{name}", (view("accounts.account"), permission)
        offers = ["accounts_account_verify_chain"] if name == "chain" else []
        yield Place(route, url(route, scene.ann), permissions, offers)
    route, permission = "accounts_transaction_page", view("accounts.transaction")
    yield Place(route, url(route, scene.transaction), (permission,), ["accounts_transaction_reverse"])
    record = f"{url('eventstore_idempotencyrecord_page')}?scope=test&key=k"
    yield Place("eventstore_idempotencyrecord_page", record, (view("eventstore.idempotencyrecord"),))
    for route in ("own_sign_in", "own_time_zone", "replace_second_factor", "password_change"):
        yield Place(route, url(route), ())
