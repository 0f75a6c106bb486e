"""Who looked at what in bulk: each page of a list or a search that is shown is counted, in the same request."""

from datetime import timedelta
from urllib.parse import urlencode

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ops.access.address import client_address
from ops.audit.models import Viewing
from ops.audit.record import staff_actor
from ops.conf import get_settings

LONGEST_FILTERS = 1000

COUNT = """
INSERT INTO ops_viewing AS v (actor, what, filters, hour, first_at, last_at, pages, rows, address)
VALUES (%(actor)s, %(what)s, %(filters)s, date_trunc('hour', now(), 'UTC'), now(), now(), 1, %(rows)s, %(address)s)
ON CONFLICT (actor, what, hour, filters) DO UPDATE SET
    last_at = greatest(v.last_at, excluded.last_at), pages = v.pages + 1, rows = v.rows + excluded.rows,
    address = excluded.address
"""


def note(request: HttpRequest, *, what: str, filters: dict[str, str], rows: int) -> None:
    """`what` names the list ("accounts.account"), `rows` is how many are on the page that is about to be shown.

    A list that cannot be noted is not shown: an error goes through.
    """
    parameters: dict[str, str | int] = {
        "actor": staff_actor(request.user)[:200],
        "what": what,
        "filters": urlencode(sorted(filters.items()))[:LONGEST_FILTERS],
        "rows": rows,
        "address": client_address(request),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)


def prune(limit: int) -> int:
    """Removes at most `limit` viewings past VIEWINGS_RETENTION_DAYS; returns how many."""
    keys = list(_old().values_list("pk", flat=True)[:limit])
    return Viewing.objects.filter(pk__in=keys).delete()[0]


def expired(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return _old()[:limit].count()


def _old() -> QuerySet[Viewing]:
    return Viewing.objects.filter(last_at__lt=timezone.now() - timedelta(days=get_settings().viewings_retention_days))
