"""What the bank is doing right now: every command, batch, job and admin action, registered from start to end.

An operation stands on the board of its process (`ops.board`), where all processes see it. Registering costs some
microseconds. What a detector finds of it (stuck, blocking, out of time) is derived from there and from PostgreSQL.
"""

from ops.operations.limit import TooManyOperations, require_room
from ops.operations.registry import Operation, active, current, is_job, operation, step

__all__ = ["Operation", "TooManyOperations", "active", "current", "is_job", "operation", "require_room", "step"]
