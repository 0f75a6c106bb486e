"""What staff act on: each maker makes it anew, and says where it is offered and by which address it is done."""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
from django.contrib.auth.models import Group, User
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts import cache
from accounts.admin.commands.pages import CLOSE, TRANSFER, UNFREEZE, CommandPage
from accounts.cache import popularity
from accounts.drills.poison import WRONG_ROW
from accounts.models import Account, Import, Transaction
from eventstore import projections
from eventstore.models import DeadLetter
from eventstore.projections import checkpoints, dead_letters, registered
from eventstore.projections.base import Projection
from eventstore.projections.rebuild import rebuild
from eventstore.projections.runner import catch_up
from ops import operations
from ops.conf import get_settings
from ops.detectors import blocked
from ops.html import page_of
from ops.jobs import asking
from ops.models import ApiClient, ApiKey, Approval, SignInLock, StaffSession, Webhook, WebhookDelivery
from tests.accounts.admin.forms import send
from tests.authenticator import enrolled
from tests.bank import Bank
from tests.ops.admin.dialog import asked, decide
from tests.ops.detectors.conftest import in_hand
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

READ_MODEL = "journal"


@dataclass
class Stage:
    """The bank of the tests. `who` acts; `another` is a second person, a supervisor; what is begun for a while ends
    with `cleanup`."""

    bank: Bank
    who: User
    another: User
    cleanup: ExitStack


@dataclass(frozen=True)
class Offer:
    """`page` shows the control and `url` is where it leads; `pick` is the row to be ticked first. `fields` are typed
    into the form, and `hidden` are in it already."""

    page: str
    url: str
    pick: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)


Maker = Callable[[Stage], Offer]


def url(name: str, *arguments: object) -> str:
    return reverse(f"admin:{name}", args=arguments)


def new_account(stage: Stage) -> Offer:
    return Offer(url("accounts_account_changelist"), url("accounts_account_open"))


def account_for(page: CommandPage) -> Maker:
    """One that the command fits."""

    def make(stage: Stage) -> Offer:
        ann = stage.bank.open("0" if page is CLOSE else "100.00")
        if page is UNFREEZE:
            stage.bank.freeze(ann)
        fields = {"target_account_id": str(stage.bank.open(owner="Bob"))} if page is TRANSFER else {}
        hidden = {"expected_version": str(Account.objects.get(pk=ann).version)}
        return Offer(page_of("accounts.account", ann), page.url(ann), fields=fields, hidden=hidden)

    return make


def hold(page: CommandPage) -> Maker:
    def make(stage: Stage) -> Offer:
        held = stage.bank.hold(stage.bank.open("5.00"), "2.00")
        return Offer(page_of("accounts.hold", held), page.url(held), hidden={"expected_version": "3"})

    return make


def posting(stage: Stage) -> Offer:
    ann = stage.bank.open()
    done = stage.bank.deposit(ann, "2.00")
    page = url("accounts_transaction_page", done.transaction_id)
    return Offer(page, f"{page}reverse/", hidden={"expected_version": "2"})


def chain(stage: Stage) -> Offer:
    ann = stage.bank.open("1.00")
    return Offer(url("accounts_account_chain", ann), url("accounts_account_verify_chain", ann))


def stream(name: str) -> Maker:
    def make(stage: Stage) -> Offer:
        ann = stage.bank.open("1.00")
        return Offer(page_of("eventstore.stream", ann), url(f"eventstore_stream_{name}", ann))

    return make


def streams(name: str) -> Maker:
    """Selected in the list of accounts."""

    def make(stage: Stage) -> Offer:
        ann = stage.bank.open("1.00")
        several = url(f"eventstore_stream_{name}_several")
        return Offer(url("accounts_account_changelist"), several, pick=str(ann))

    return make


def at(page: str, leads_to: str) -> Maker:
    """What needs nothing to be made."""
    return lambda stage: Offer(url(page), url(leads_to))


def sound_books(stage: Stage) -> Offer:
    """All that waits is applied first."""
    for failed in DeadLetter.objects.filter(state="failed", aggregate_id__isnull=False):
        dead_letters.retry(failed.pk, by="staff:somebody")
    return Offer(url("accounts_ledgerproof_changelist"), url("accounts_ledgerproof_verify"))


def running_import(what: str) -> Maker:
    def make(stage: Stage) -> Offer:
        row = Import.objects.create(
            scope="client:acme", key=str(uuid4()), position=7, digest=bytes(32), executed=5, refused=2
        )
        if what == "allow":
            Import.objects.filter(pk=row.pk).update(stopped_by="staff:somebody")
        return Offer(page_of("accounts.import", row.pk), url(f"accounts_import_{what}", row.pk))

    return make


def poisoned(bank: Bank) -> tuple[UUID, DeadLetter]:
    """An account and the letter of its event that failed; what stood in the way is gone by now."""
    ann, row = bank.open(), -secrets.randbits(60) - 1
    with connection.cursor() as cursor:
        cursor.execute(WRONG_ROW, (row, ann, 2))
    bank.deposit(ann, "1.00")
    catch_up(registered())
    Transaction.objects.filter(pk=row).delete()
    return ann, DeadLetter.objects.get(state="failed", aggregate_id=ann)


def letter(what: str) -> Maker:
    def make(stage: Stage) -> Offer:
        _, found = poisoned(stage.bank)
        return Offer(page_of("eventstore.deadletter", found.pk), url(f"eventstore_deadletter_{what}", found.pk))

    return make


def _unreadable() -> DeadLetter:
    place = secrets.randbits(60)
    dead_letters.record_unreadable(
        topic="events", partition=0, offset=place, key=None, value=b"?", error=ValueError("no event")
    )
    return DeadLetter.objects.get(kafka_offset=place)


def unreadable(stage: Stage) -> Offer:
    found = _unreadable()
    return Offer(page_of("eventstore.deadletter", found.pk), url("eventstore_deadletter_acknowledge", found.pk))


def unreadable_ones(stage: Stage) -> Offer:
    several = url("eventstore_deadletter_acknowledge_several")
    return Offer(url("eventstore_deadletter_changelist"), several, pick=str(_unreadable().pk))


def letters(stage: Stage) -> Offer:
    _, found = poisoned(stage.bank)
    several = url("eventstore_deadletter_retry_several")
    return Offer(url("eventstore_deadletter_changelist"), several, pick=str(found.pk))


def read_model(what: str) -> Maker:
    """In a state that the procedure fits."""

    def make(stage: Stage) -> Offer:
        with connection.cursor() as cursor:
            if what == "resume":
                checkpoints.pause(cursor, READ_MODEL, by="staff:somebody", reason="a test")
            else:
                checkpoints.resume(cursor, READ_MODEL)
        if what == "undo":
            model = projections.get(READ_MODEL)
            assert isinstance(model, Projection)
            catch_up(registered())
            rebuild(model, lambda *progress: None)
        page = page_of("eventstore.projectionstate", READ_MODEL)
        return Offer(page, url(f"eventstore_projection_{what}", READ_MODEL))

    return make


def client() -> ApiClient:
    return ApiClient.objects.create(name=f"client-{secrets.token_hex(4)}")


def webhook(what: str) -> Maker:
    def make(stage: Stage) -> Offer:
        row = new_webhook()
        if what == "resume":
            Webhook.objects.filter(pk=row.pk).update(state="paused", paused_at=timezone.now())
        return Offer(page_of("ops.webhook", row.pk), url(f"ops_webhook_{what}", row.pk))

    return make


def new_webhook() -> Webhook:
    return Webhook.objects.create(
        client=client(), url="https://acme.example/", event_types=[], starts_after=0, salt=b""
    )


def delivery(stage: Stage) -> Offer:
    row = WebhookDelivery.objects.create(
        webhook=new_webhook(),
        event_id=uuid4(),
        event_type="Deposited",
        key=uuid4(),
        sequence=1,
        body="{}",
        needs_full_reach=False,
        state="failed",
    )
    return Offer(page_of("ops.webhookdelivery", row.pk), url("ops_webhookdelivery_again", row.pk))


OPERATIONS = "ops_operationsaccess_changelist"


def something_past_its_time(stage: Stage) -> Offer:
    """A session that ended yesterday."""
    StaffSession.objects.create(session_key=secrets.token_hex(20), expire_date=timezone.now() - timedelta(days=1))
    return Offer(url(OPERATIONS), url("ops_clean-up"))


def long_transaction(stage: Stage) -> Offer:
    stage.cleanup.enter_context(in_hand("SELECT pg_sleep(15)", timeout=30))
    time.sleep(1.1)  # older than the second that the form is told
    return Offer(url(OPERATIONS), url("ops_end-transactions"))


def blocking_session(stage: Stage) -> Offer:
    database = get_settings().database_url.get_secret_value()
    holder = stage.cleanup.enter_context(psycopg.connect(database, application_name="bankes:worker"))
    lock = secrets.randbits(31)
    holder.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
    stage.cleanup.enter_context(in_hand(f"SELECT pg_advisory_xact_lock({lock})", timeout=30))
    stage.cleanup.callback(_let_go, holder)
    wait_until(lambda: any(entry["blocked_by"] for entry in blocked()))
    return Offer(url(OPERATIONS), url("ops_end_session", holder.info.backend_pid))


def _let_go(holder: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        holder.rollback()


def slow_operation(stage: Stage) -> Offer:
    slow = stage.cleanup.enter_context(in_hand("SELECT pg_sleep(15)", timeout=30))

    def told() -> list[str]:
        return [entry["id"] for entry in operations.active() if entry["database_pid"] == slow.pid]

    wait_until(lambda: bool(told()))
    return Offer(url(OPERATIONS), url("ops_end_operation", told()[0]))


CACHE = "ops_cacheaccess_changelist"


def cached(stage: Stage) -> Offer:
    ann = stage.bank.open("1.00")
    cache.account(ann, at_least=1)
    popularity().flush()
    return Offer(f"{url(CACHE)}?key={ann}", url("ops_cache_evict", "account"), pick=str(ann))


def whole_cache(stage: Stage) -> Offer:
    return Offer(url(CACHE), f"{url('ops_cache_evict', 'account')}?on=all")


def cold_cache(stage: Stage) -> Offer:
    return Offer(url(CACHE), url("ops_cache_warm", "account"))


def waiting_job(stage: Stage) -> Offer:
    job = asking.make("verify_ledger", subject="ledger", input={}, reason="a test", actor="staff:somebody")
    return Offer(page_of("ops.job", job.pk), url("ops_job_cancel", job.pk))


def question(stage: Stage, *, of: User | None = None) -> Approval:
    """A new overdraft limit, asked for by the second person, or by `of`."""
    ann = stage.bank.open("1.00")
    form = f"/admin/accounts/account/{ann}/change-overdraft-limit/"
    return asked(send(signed_in(of or stage.another), form, limit="50.00"))


def anothers_question(stage: Stage) -> Offer:
    found = question(stage)
    hidden = {"digest": found.digest, "decision": "approve"}
    return Offer(page_of("ops.approval", found.pk), url("ops_approval_decide", found.pk), hidden=hidden)


def own_question(stage: Stage) -> Offer:
    """Of whoever acts, where they may ask; else of another."""
    mine = stage.who.has_perm("accounts.change_overdraft_limit")
    found = question(stage, of=stage.who if mine else stage.another)
    return Offer(page_of("ops.approval", found.pk), url("ops_approval_withdraw", found.pk))


def approved_key(stage: Stage) -> Offer:
    """That whoever acts may collect, where they may ask for one; else another may."""
    mine = stage.who.has_perm("ops.issue_apikey")
    asks, decides = (stage.who, stage.another) if mine else (stage.another, make_staff("supervisor", name=_name()))
    browser = signed_in(asks)
    form = url("ops_apikey_issue")
    once = browser.get(form).context["once"]
    day = (timezone.now() + timedelta(days=9)).date().isoformat()
    given = {"client": client().pk, "scopes": ["accounts:write"], "expires_on": day, "reason": "a test", "once": once}
    approval = decide(signed_in(decides), asked(browser.post(form, given)))
    return Offer(page_of("ops.approval", approval.pk), url("ops_approval_collect", approval.pk))


def _name() -> str:
    return f"staff-{secrets.token_hex(4)}"


def existing_client(stage: Stage) -> Offer:
    page = page_of("ops.apiclient", client().pk)
    return Offer(page, page, hidden={"_save": "Save"})


def new_key(stage: Stage) -> Offer:
    """Offered on the page of its client, which is filled in then."""
    made = client()
    return Offer(page_of("ops.apiclient", made.pk), f"{url('ops_apikey_issue')}?client={made.pk}")


def valid_key(stage: Stage) -> Offer:
    later = timezone.now() + timedelta(days=9)
    key = ApiKey.objects.create(
        client=client(), prefix=secrets.token_hex(6), digest=bytes(32), scopes=["accounts:read"], expires_at=later
    )
    return Offer(page_of("ops.apikey", key.pk), url("ops_apikey_revoke", key.pk))


def locked_out(stage: Stage) -> Offer:
    now = timezone.now()
    row = SignInLock.objects.create(
        key=f"user:{secrets.randbits(30)}",
        label="staff:x",
        failures=9,
        failed_at=now,
        blocked_until=now + timedelta(hours=1),
    )
    return Offer(page_of("ops.signinlock", row.pk), url("ops_signinlock_unlock", row.pk))


def member_of_staff(what: str) -> Maker:
    """`what` is done to: the end of the URL's name."""

    def make(stage: Stage) -> Offer:
        user = make_staff("viewer", name=_name())
        enrolled(user)
        page = page_of("auth.user", user.pk)
        return Offer(page, page if what == "change" else url(f"auth_user_{what}", user.pk), hidden={"_save": "Save"})

    return make


def role(stage: Stage) -> Offer:
    page = page_of("auth.group", Group.objects.create(name=_name()).pk)
    return Offer(page, page, hidden={"_save": "Save"})


def exported(model: str) -> Maker:
    return at(f"{model}_changelist", f"{model}_export")
