"""The admin's side bar: what there is, shown to whom may see it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy

from ops.access.permissions import VIEW_OPERATIONS
from ops.approvals.inbox import waiting_for

GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Bank",
        (
            ("Accounts", "account_balance_wallet", "accounts.account"),
            ("Transactions", "swap_horiz", "accounts.transaction"),
            ("Journal", "menu_book", "accounts.journalline"),
            ("Daily balances", "calendar_month", "accounts.dailybalance"),
            ("Trial balance", "balance", "accounts.ledgerday"),
            ("Holds", "hourglass_top", "accounts.hold"),
            ("Interest", "percent", "accounts.interest"),
            ("Interest rates", "trending_up", "accounts.interestrate"),
            ("Reversals", "undo", "accounts.reversal"),
            ("Imports", "upload_file", "accounts.import"),
        ),
    ),
    (
        "Event store",
        (
            ("Events", "timeline", "eventstore.event"),
            ("Streams", "account_tree", "eventstore.stream"),
            ("Projections", "monitoring", "eventstore.projectionstate"),
            ("Dead letters", "report", "eventstore.deadletter"),
            ("Kafka", "share", "eventstore.kafkaaccess"),
            ("Idempotency records", "repeat_one", "eventstore.idempotencyrecord"),
            ("Ledger proofs", "verified", "accounts.ledgerproof"),
        ),
    ),
    (
        "Running",
        (
            ("Operations", "monitor_heart", "ops.operationsaccess"),
            ("Breakers and timeouts", "electrical_services", "ops.breakersaccess"),
            ("Cache", "memory", "ops.cacheaccess"),
            ("Jobs", "work_history", "ops.job"),
            ("Approvals", "approval", "ops.approval"),
            ("Incidents", "warning", "ops.incident"),
            ("Resolutions", "gavel", "ops.resolution"),
        ),
    ),
    (
        "Administration",
        (
            ("API clients", "hub", "ops.apiclient"),
            ("API keys", "key", "ops.apikey"),
            ("Webhooks", "webhook", "ops.webhook"),
            ("Webhook deliveries", "outgoing_mail", "ops.webhookdelivery"),
            ("Audit", "history_edu", "ops.auditentry"),
            ("Viewings", "visibility", "ops.viewing"),
            ("Sign-in locks", "lock_clock", "ops.signinlock"),
            ("Staff", "group", "auth.user"),
            ("Roles", "badge", "auth.group"),
        ),
    ),
)
"""Title, icon and model of each entry; who may view the model sees the entry."""
VIEWED_BY = dict.fromkeys(
    ("ops.operationsaccess", "ops.breakersaccess", "ops.cacheaccess", "eventstore.kafkaaccess"), VIEW_OPERATIONS
)
"""The permission to view, where it is not the model's own."""


def may_view(model: str) -> Callable[[HttpRequest], bool]:
    app, name = model.split(".")
    permission = VIEWED_BY.get(model, f"{app}.view_{name}")
    return lambda request: bool(request.user.has_perm(permission))


def _badge(model: str, request: HttpRequest) -> dict[str, Any]:
    """How much waits for this person, beside the entry."""
    waiting = waiting_for(request) if model == "ops.approval" else 0
    return {"badge": waiting, "badge_variant": "warning"} if waiting else {}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    for_everyone: list[dict[str, Any]] = [
        {"title": "Overview", "icon": "home", "link": reverse_lazy("admin:index")},
        {"title": "API documentation", "icon": "api", "link": reverse_lazy("api-docs")},
    ]
    groups = [
        {
            "title": title,
            "items": [
                {
                    "title": name,
                    "icon": icon,
                    "link": reverse_lazy(f"admin:{model.replace('.', '_')}_changelist"),
                    "permission": may_view(model),
                    **_badge(model, request),
                }
                for name, icon, model in entries
            ],
        }
        for title, entries in GROUPS
    ]
    return [{"items": for_everyone}, *groups]
