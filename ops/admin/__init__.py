"""The admin of the ground floor, and what the admins of all floors are made of.

`readonly`, `keyset` and `lists` serve every big table; `audited` records changes by ordinary forms.
"""

from ops.admin import audit, clients, keys, staff, webhooks

__all__ = ["audit", "clients", "keys", "staff", "webhooks"]
