"""How the interest of a month comes about: which balances stood for how long, at which rates.

It is read from the daily balances and the rates. Both are settled for days that are over, so what was reckoned once
can be explained at any time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts.days import SETTLED_AFTER, end_of, lacks_of
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.interest import Span, month_after, month_of
from accounts.models import InterestRate
from accounts.projections.daily_balances import DailyBalances

_SPANS = """
    WITH days AS (
        SELECT a.id AS account_id, a.product, a.currency, d.closing_balance,
               greatest(d.day, %(first)s) AS since,
               lead(d.day, 1, %(after)s) OVER (PARTITION BY a.id ORDER BY d.day) AS until
          FROM accounts a
         CROSS JOIN LATERAL (
                   (SELECT day, closing_balance FROM daily_balances
                     WHERE account_id = a.id AND day < %(first)s ORDER BY day DESC LIMIT 1)
                   UNION ALL
                   (SELECT day, closing_balance FROM daily_balances
                     WHERE account_id = a.id AND day >= %(first)s AND day < %(after)s)
               ) d
         WHERE a.id = ANY (%(accounts)s)
    ), rates AS (
        SELECT product, currency, earned, owed, from_day AS since,
               lead(from_day, 1, 'infinity') OVER (PARTITION BY product, currency ORDER BY from_day) AS until
          FROM (SELECT DISTINCT ON (product, currency, from_day) * FROM interest_rates
                 ORDER BY product, currency, from_day, id DESC) AS last_set
    )
    SELECT d.account_id, greatest(d.since, r.since), least(d.until, r.until), d.closing_balance,
           CASE WHEN d.closing_balance > 0 THEN r.earned ELSE r.owed END
      FROM days d
      JOIN rates r ON r.product = d.product AND r.currency = d.currency AND r.since < d.until AND r.until > d.since
     WHERE d.closing_balance <> 0 AND d.since < d.until
     ORDER BY d.account_id, 2
"""


def spans_of(accounts: Iterable[UUID], month: date) -> Mapping[UUID, Sequence[Span]]:
    """The days of a month on which these accounts had a balance and their product a rate, by account, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_SPANS, {"accounts": list(accounts), "first": month, "after": month_after(month)})
        found: defaultdict[UUID, list[Span]] = defaultdict(list)
        for account_id, *span in cursor.fetchall():
            found[account_id].append(Span(*span))
    return found


def require_over(month: date) -> None:
    """
    Raises:
        Refusal: `validation_failed`: more may be recorded in that month, or the read model lacks some of it.
    """
    last = month_after(month) - timedelta(days=1)
    if timezone.now() < end_of(last) + SETTLED_AFTER:
        minutes = SETTLED_AFTER // timedelta(minutes=1)
        raise _not_yet(f"{month:%Y-%m} is not over: it is reckoned {minutes} minutes after its end (UTC), or later.")
    if lacks := lacks_of(DailyBalances.name, last):
        raise _not_yet(f"{month:%Y-%m} cannot be reckoned yet: {lacks}")


def _not_yet(message: str) -> Refusal:
    return Refusal(ErrorCode.VALIDATION_FAILED, message, field="month")


def months_with_rates() -> list[date]:
    """The months that are over and had a rate, oldest first."""
    first = InterestRate.objects.order_by("from_day").values_list("from_day", flat=True).first()
    this = month_of(timezone.now().date())
    months = []
    month = month_of(first) if first else this
    while month < this:
        months.append(month)
        month = month_after(month)
    return months
