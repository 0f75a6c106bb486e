"""Everything that staff can do, as data: by which address, what it asks for, and how it ends. Who may is not written
here: the permissions are those that the code asks for, and the roles have what their migrations gave them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import UUID

from django.contrib import admin

from accounts.admin.chain_page import VerifyChain
from accounts.admin.commands.pages import ACCOUNT_COMMANDS, CHANGE_OVERDRAFT_LIMIT, HOLD_COMMANDS, OPEN, REVERSE
from accounts.admin.imports import ImportAdmin
from accounts.admin.interest import Book, SetRate
from accounts.admin.ledger import Verify
from bankes.navigation import VIEWED_BY
from eventstore.admin.dead_letters import AcknowledgeLetters, DeadLetterAdmin, DiscardLetter, RetryLetters
from eventstore.admin.projection_procedures import PROCEDURES as READ_MODEL_PROCEDURES
from eventstore.admin.repairs import REPAIRS
from ops.access.permissions import EXPORT_LISTS
from ops.admin.cache_procedures import EvictKeys, Warm
from ops.admin.emergency import CleanUp, EndSession, EndTransactions, ResetPools
from ops.admin.end_operation import EndOperation
from ops.admin.locks import SignInLockAdmin
from ops.admin.procedure import ASKED
from ops.admin.webhooks import MANAGE
from ops.approvals.deciding import DECIDE
from ops.approvals.own import IssueKey
from tests.pages import things
from tests.pages.things import Maker, url
from tests.staff import PASSWORD

SOMEBODYS = UUID("00000000-0000-7000-8000-000000000001")
WAITS, DONE_AT_ONCE = "Waiting for a worker", "What was done"
"""What is said of a job that was begun, and of what was carried out at once."""
NEW_PASSWORD = {"password1": f"{PASSWORD} 2", "password2": f"{PASSWORD} 2"}


class Way(Enum):
    FORM = auto()
    """A form that is filled in and sent."""
    DIALOG = auto()
    """The same, and what would be done is shown before it is confirmed."""
    HERE = auto()
    """By a button on the page itself, of the name `press`."""
    FILE = auto()
    """A form whose answer is a file."""


@dataclass(frozen=True)
class Action:
    """`route` is the name of the URL that does it; `then` is told at its end. `stand_in` is an address for who may
    not, where to make something real would take long; `own`: others may send it, in vain."""

    name: str
    route: str
    permissions: tuple[str, ...]
    make: Maker
    way: Way
    then: str
    fields: Mapping[str, str] = field(default_factory=dict)
    press: str = ""
    stand_in: str = ""
    own: bool = False


def view(model: str) -> str:
    """The permission to see a model's pages; `model` is "app.model"."""
    app, name = model.split(".")
    return VIEWED_BY.get(model, f"{app}.view_{name}")


def _action(name: str, route: str, on: str, permission: str, make: Maker, then: str, **more: Any) -> Action:
    """`on` is the model on whose page it is offered."""
    way = more.pop("way", Way.FORM)
    return Action(name, route, (view(on), permission), make, way, then, **more)


def commands() -> Iterator[Action]:
    fields = {
        "deposit": {"amount": "1.00"},
        "withdraw": {"amount": "1.00"},
        "transfer": {"amount": "1.00"},
        "change_overdraft_limit": {"limit": "5.00"},
        "place_hold": {"amount": "1.00"},
        "extend_hold": {"amount": "1.00"},
    }
    account = "accounts.account"
    opens = {"owner": "Cid", "currency": "EUR", "product": "current", "opening_deposit": "9"}
    then = f"{OPEN.title}: done."
    yield _action("open", "accounts_account_open", account, OPEN.permission, things.new_account, then, fields=opens)
    for page in ACCOUNT_COMMANDS:
        then = ASKED if page is CHANGE_OVERDRAFT_LIMIT else f"{page.title}: done."
        typed = fields.get(page.name, {})
        make, way = things.account_for(page), Way.DIALOG if page.form.touches_others else Way.FORM
        yield _action(page.name, page.url_name, account, page.permission, make, then, fields=typed, way=way)
    for page in HOLD_COMMANDS:
        then, make = f"{page.title}: done.", things.hold(page)
        typed = fields.get(page.name, {})
        yield _action(page.name, page.url_name, "accounts.hold", page.permission, make, then, fields=typed)
    then, route = f"{REVERSE.title}: done.", "accounts_transaction_reverse"
    model, permission = "accounts.transaction", REVERSE.permission
    yield _action("reverse", route, model, permission, things.posting, then, way=Way.DIALOG)


def proofs_and_imports() -> Iterator[Action]:
    route = "accounts_account_verify_chain"
    yield Action(
        "verify the chain",
        route,
        (view("accounts.account"), view("eventstore.event"), VerifyChain.permission),
        things.chain,
        Way.DIALOG,
        WAITS,
    )
    make = things.at("accounts_interest_changelist", "accounts_interest_book")
    model, way = "accounts.interest", Way.DIALOG
    yield _action("book interest", "accounts_interest_book", model, Book.permission, make, WAITS, way=way)
    make = things.at("accounts_interestrate_changelist", "accounts_interestrate_set")
    typed = {"product": "savings", "currency": "EUR", "from_day": "2099-01-01", "earned": "2.5", "owed": "0"}
    model, route = "accounts.interestrate", "accounts_interestrate_set"
    yield _action("set a rate", route, model, SetRate.permission, make, ASKED, fields=typed, way=way)
    route, model = "accounts_ledgerproof_verify", "accounts.ledgerproof"
    yield _action("prove the books", route, model, Verify.permission, things.sound_books, WAITS, way=Way.DIALOG)
    for what, then in (("stop", "It stops after the chunk in hand"), ("allow", "Whoever sends it may go on.")):
        route, make = f"accounts_import_{what}", things.running_import(what)
        permission = ImportAdmin.manage_permission
        yield _action(f"{what} an import", route, "accounts.import", permission, make, then)


def repairs() -> Iterator[Action]:
    for name, procedure in REPAIRS.items():
        typed = {"from_version": "1"} if name == "replay" else {}
        given: dict[str, Any] = {"fields": typed, "way": Way.DIALOG}
        one, several = f"eventstore_stream_{name}", f"eventstore_stream_{name}_several"
        stream, permission = "eventstore.stream", procedure.permission
        yield _action(f"{name} a stream", one, stream, permission, things.stream(name), WAITS, **given)
        account, make = "accounts.account", things.streams(name)
        yield _action(f"{name} what is selected", several, account, permission, make, WAITS, **given)


def dead_letters() -> Iterator[Action]:
    model, manage = "eventstore.deadletter", DeadLetterAdmin.manage_permission
    retried = "1 events were applied, 0 still wait."
    yield _action("retry", "eventstore_deadletter_retry", model, manage, things.letter("retry"), retried)
    route, make = "eventstore_deadletter_discard", things.letter("discard")
    yield _action("discard", route, model, DiscardLetter.permission, make, ASKED, way=Way.DIALOG)
    route, then = "eventstore_deadletter_acknowledge", "It is acknowledged, and stays on record."
    yield _action("acknowledge", route, model, manage, things.unreadable, then)
    route, given = "eventstore_deadletter_acknowledge_several", {"way": Way.DIALOG}
    make, permission = things.unreadable_ones, AcknowledgeLetters.permission
    yield _action("acknowledge what is selected", route, model, permission, make, DONE_AT_ONCE, **given)
    route, permission = "eventstore_deadletter_retry_several", RetryLetters.permission
    yield _action("retry what is selected", route, model, permission, things.letters, WAITS, way=Way.DIALOG)


def read_models() -> Iterator[Action]:
    ends = {"pause": DONE_AT_ONCE, "resume": DONE_AT_ONCE, "compare": WAITS, "swap": ASKED, "undo": WAITS}
    for what, procedure in READ_MODEL_PROCEDURES.items():
        route, make = f"eventstore_projection_{what}", things.read_model(what)
        model, permission = "eventstore.projectionstate", procedure.permission
        yield _action(f"{what} a read model", route, model, permission, make, ends[what], way=Way.DIALOG)


def webhooks() -> Iterator[Action]:
    for what, then in (("pause", "It is paused."), ("resume", "It is active: what has waited is being sent.")):
        make = things.webhook(what)
        yield _action(f"{what} a webhook", f"ops_webhook_{what}", "ops.webhook", MANAGE, make, then)
    then = "It is due, and goes before those of its account that wait."
    yield _action("send again", "ops_webhookdelivery_again", "ops.webhookdelivery", MANAGE, things.delivery, then)


def operations() -> Iterator[Action]:
    model, here = "ops.operationsaccess", things.OPERATIONS
    dialog: dict[str, Any] = {"way": Way.DIALOG}
    long = {"older_than": "1", "how": "cancel"}
    yield _action(
        "end long transactions",
        "ops_end-transactions",
        model,
        EndTransactions.permission,
        things.long_transaction,
        DONE_AT_ONCE,
        fields=long,
        stand_in=url("ops_end-transactions"),
        **dialog,
    )
    make = things.at(here, "ops_reset-pools")
    yield _action("reset the pools", "ops_reset-pools", model, ResetPools.permission, make, DONE_AT_ONCE, **dialog)
    make, permission = things.something_past_its_time, CleanUp.permission
    yield _action("clean up", "ops_clean-up", model, permission, make, ASKED, **dialog)
    yield _action(
        "end a session",
        "ops_end_session",
        model,
        EndSession.permission,
        things.blocking_session,
        ASKED,
        fields={"how": "terminate"},
        stand_in=url("ops_end_session", 999_999_999),
        **dialog,
    )
    yield _action(
        "stop an operation",
        "ops_end_operation",
        model,
        EndOperation.permission,
        things.slow_operation,
        DONE_AT_ONCE,
        fields={"how": "cancel"},
        stand_in=url("ops_end_operation", SOMEBODYS),
        **dialog,
    )


def cache() -> Iterator[Action]:
    model, dialog = "ops.cacheaccess", {"way": Way.DIALOG}
    evict, permission = "ops_cache_evict", EvictKeys.permission
    yield _action("evict", evict, model, permission, things.cached, DONE_AT_ONCE, **dialog)
    yield _action("evict everything", evict, model, permission, things.whole_cache, WAITS, **dialog)
    typed = {"limit": "10"}
    yield _action("warm", "ops_cache_warm", model, Warm.permission, things.cold_cache, WAITS, fields=typed, **dialog)


def jobs_and_approvals() -> Iterator[Action]:
    here: dict[str, Any] = {"way": Way.HERE}
    press = "Cancel the job"
    yield _action(
        "cancel a job",
        "ops_job_cancel",
        "ops.job",
        Verify.permission,
        things.waiting_job,
        "Cancelled",
        press=press,
        **here,
    )
    decide = (view("ops.approval"), DECIDE, CHANGE_OVERDRAFT_LIMIT.permission)
    ends = (
        ("approve", "Approve and carry out", "Approved and carried out."),
        ("refuse", "Refuse", "It is refused. Nothing was done."),
    )
    for name, press, then in ends:
        make = things.anothers_question
        yield Action(name, "ops_approval_decide", decide, make, Way.HERE, then, {"reason": "I looked"}, press)
    ask = CHANGE_OVERDRAFT_LIMIT.permission
    yield _action(
        "withdraw a question",
        "ops_approval_withdraw",
        "ops.approval",
        ask,
        things.own_question,
        "It is withdrawn",
        press="Withdraw",
        own=True,
        **here,
    )
    yield _action(
        "collect a key",
        "ops_approval_collect",
        "ops.approval",
        IssueKey.permission,
        things.approved_key,
        "it is not shown again",
        press="Issue the key and show its token",
        **here,
    )


def clients_and_locks() -> Iterator[Action]:
    saved, make = "was added successfully", things.at("ops_apiclient_changelist", "ops_apiclient_add")
    model, key = "ops.apiclient", "ops.apikey"
    yield _action("add a client", "ops_apiclient_add", model, "ops.add_apiclient", make, saved, fields={"name": ""})
    changed = "was changed successfully"
    yield _action(
        "change a client",
        "ops_apiclient_change",
        model,
        "ops.change_apiclient",
        things.existing_client,
        changed,
        fields={"reach": "all"},
        press="Save",
        way=Way.HERE,
    )
    read = {"scopes": "accounts:read"}
    issue, permission = "ops_apikey_issue", IssueKey.permission
    yield _action("issue a key", issue, model, permission, things.new_key, "it is not shown again", fields=read)
    write = {"scopes": "accounts:write"}
    yield _action("issue a key that writes", issue, model, permission, things.new_key, ASKED, fields=write)
    revoked = "it opens nothing any more"
    yield _action("revoke a key", "ops_apikey_revoke", key, "ops.revoke_apikey", things.valid_key, revoked)
    permission, then = SignInLockAdmin.manage_permission, "are forgotten"
    yield _action("unlock", "ops_signinlock_unlock", "ops.signinlock", permission, things.locked_out, then)


def staff() -> Iterator[Action]:
    """What no role may, but the administrator."""
    user, group, saved = "auth.user", "auth.group", "was changed successfully"
    add = things.at("auth_user_changelist", "auth_user_add")
    named = {"username": "", **NEW_PASSWORD}
    yield _action("add staff", "auth_user_add", user, "auth.add_user", add, "was added successfully", fields=named)
    make = things.member_of_staff("change")
    yield _action(
        "change staff",
        "auth_user_change",
        user,
        "auth.change_user",
        make,
        saved,
        fields={"first_name": "Ann"},
        press="Save",
        way=Way.HERE,
    )
    make, route = things.member_of_staff("password_change"), "auth_user_password_change"
    yield _action(
        "set a password", route, user, "auth.change_user", make, "Password changed successfully.", fields=NEW_PASSWORD
    )
    make, route = things.member_of_staff("reset_second_factor"), "auth_user_reset_second_factor"
    then = "sets up an authenticator app at the next sign-in"
    yield _action("reset a second factor", route, user, "ops.reset_second_factor", make, then)
    make = things.at("auth_group_changelist", "auth_group_add")
    yield _action("add a role", "auth_group_add", group, "auth.add_group", make, "was added", fields={"name": ""})
    yield _action(
        "change a role",
        "auth_group_change",
        group,
        "auth.change_group",
        things.role,
        saved,
        press="Save",
        way=Way.HERE,
    )


def exports() -> Iterator[Action]:
    """Of each list as a file."""
    for model, model_admin in admin.site._registry.items():
        if hasattr(model_admin, "export_view"):
            label, name = model._meta.label_lower, model._meta.label_lower.replace(".", "_")
            make = things.exported(name)
            yield _action(f"export {label}", f"{name}_export", label, EXPORT_LISTS, make, "", way=Way.FILE)


GROUPS = (
    commands,
    proofs_and_imports,
    repairs,
    dead_letters,
    read_models,
    webhooks,
    operations,
    cache,
    jobs_and_approvals,
    clients_and_locks,
    staff,
    exports,
)


def all_actions() -> list[Action]:
    return [action for group in GROUPS for action in group()]
