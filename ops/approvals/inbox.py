"""What waits for a person."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone

from ops.approvals.deciding import DECIDE
from ops.approvals.models import Approval
from ops.approvals.registry import all_sensitive
from ops.audit.record import staff_actor


def waiting_for(request: HttpRequest) -> int:
    """How many questions this person may decide on; 0 for who decides on none."""
    user = request.user
    if not isinstance(user, User) or not user.has_perms(["ops.view_approval", DECIDE]):
        return 0
    names = [action.name for action in all_sensitive() if user.has_perm(action.permission)]
    waiting = Approval.objects.filter(state=Approval.State.PENDING, action__in=names, expires_at__gt=timezone.now())
    return waiting.exclude(asked_by=staff_actor(user)).count()
