"""The admin of the ground floor, and what the admins of all floors are made of.

`readonly`, `keyset` and `lists` serve every big table; `audited` records changes by ordinary forms; `procedure` is
the dialog of the emergency procedures.
"""

from ops.admin import audit, clients, incidents, keys, operations, staff, webhooks

__all__ = ["audit", "clients", "incidents", "keys", "operations", "staff", "webhooks"]
