"""The roles of staff, as one table: what each may see and do. A migration makes them Django groups.

Changing the table needs a new migration that calls `grant_roles` again.
"""

from typing import Any

VIEWER = (
    "accounts.view_account",
    "accounts.view_transaction",
    "accounts.view_journalline",
    "accounts.view_dailybalance",
    "accounts.view_ledgerday",
    "accounts.view_reversal",
    "accounts.view_hold",
    "accounts.view_interest",
    "accounts.view_interestrate",
)
TELLER = (
    *VIEWER,
    "accounts.open_account",
    "accounts.deposit",
    "accounts.withdraw",
    "accounts.transfer",
    "accounts.place_hold",
    "accounts.capture_hold",
    "accounts.release_hold",
)
TECHNICAL = (
    "accounts.view_ledgerproof",
    "accounts.view_import",
    "eventstore.view_event",
    "eventstore.view_stream",
    "eventstore.view_idempotencyrecord",
    "eventstore.view_projectionstate",
    "eventstore.view_deadletter",
    "ops.view_webhook",
    "ops.view_webhookdelivery",
    "ops.view_operations",
    "ops.view_incident",
    "ops.view_resolution",
    "ops.view_job",
    "ops.view_approval",
)
OPERATOR = (
    *VIEWER,
    *TECHNICAL,
    "accounts.freeze",
    "accounts.unfreeze",
    "accounts.release_hold",
    "ops.manage_webhook",
    "ops.run_cleanup",
    "ops.end_sessions",
    "ops.reset_pool",
    "eventstore.resolve_deadletter",
    "eventstore.replay_stream",
    "eventstore.recover_stream",
    "eventstore.pause_projection",
    "eventstore.rebuild_projection",
    "accounts.verify_ledger",
    "accounts.manage_import",
)
SUPERVISOR = (
    *TELLER,
    *OPERATOR,
    "accounts.change_overdraft_limit",
    "accounts.close_account",
    "accounts.reverse_transaction",
    "accounts.set_interestrate",
    "accounts.book_interest",
    "ops.view_apiclient",
    "ops.add_apiclient",
    "ops.change_apiclient",
    "ops.view_apikey",
    "ops.issue_apikey",
    "ops.revoke_apikey",
    "ops.decide_approval",  # with the permission for the action itself; never on one's own question
    "ops.view_signinlock",
    "ops.unlock_sign_in",
    "ops.export_lists",
)
AUDITOR = (
    *VIEWER,
    *TECHNICAL,
    "ops.view_apiclient",
    "ops.view_apikey",
    "ops.view_auditentry",
    "ops.view_viewing",
    "ops.view_signinlock",
    "ops.export_lists",
    "auth.view_user",
    "auth.view_group",
)

ROLES: dict[str, frozenset[str]] = {
    "viewer": frozenset(VIEWER),
    "teller": frozenset(TELLER),
    "operator": frozenset(OPERATOR),
    "supervisor": frozenset(SUPERVISOR),
    "auditor": frozenset(AUDITOR),
}


def grant_roles(apps: Any, schema_editor: Any) -> None:
    """For `RunPython`: makes the groups, and gives each what the table says.

    Django makes permissions only after all migrations have run, so those of the models that exist at this point
    are made here. A permission of a model that comes in a later migration is granted by a later call.
    """
    from django.contrib.auth.management import create_permissions

    for label in sorted({permission.partition(".")[0] for role in ROLES.values() for permission in role}):
        config = apps.get_app_config(label)
        config.models_module = True  # else Django takes the app for one without models
        create_permissions(config, verbosity=0, apps=apps, using=schema_editor.connection.alias)
        config.models_module = None
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in apps.get_model("auth", "Permission").objects.select_related("content_type")
    }
    groups = apps.get_model("auth", "Group").objects
    for name, wanted in ROLES.items():
        group, _ = groups.get_or_create(name=name)
        group.permissions.set([permissions[label] for label in sorted(wanted) if label in permissions])
