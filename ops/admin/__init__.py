"""The admin of the ground floor, and what the admins of all floors are made of.

`readonly`, `keyset` and `lists` serve every big table; `audited` records changes by ordinary forms; `procedure` is
the dialog of the emergency procedures; `tiles` are this floor's part of the overview.
"""

from ops.admin import (
    approvals,
    audit,
    breakers,
    cache,
    clients,
    incidents,
    jobs,
    keys,
    locks,
    operations,
    staff,
    tiles,
    viewings,
    webhooks,
)

__all__ = [
    "approvals",
    "audit",
    "breakers",
    "cache",
    "clients",
    "incidents",
    "jobs",
    "keys",
    "locks",
    "operations",
    "staff",
    "tiles",
    "viewings",
    "webhooks",
]
