"""The balance of an account over time: a drawing, and the same figures as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.http import HttpRequest

from accounts.admin.cells import amount
from accounts.domain.money import format_minor
from accounts.models import Account, DailyBalance, Transaction
from ops.admin.lists import Column
from ops.charts import StepChart, step_chart
from ops.html import day, when

MOST_POINTS = 120
"""Days on which money moved, the latest; or postings, where there were fewer than `FEW_DAYS`."""
FEW_DAYS = 3


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    balance: int
    shown: object


@dataclass(frozen=True, slots=True)
class BalanceChart:
    """`chart` is None where there is too little to draw; the newest figure is the table's first."""

    chart: StepChart | None
    label: str
    unit: str
    headings: Sequence[Column]
    rows: list[list[tuple[Column, object]]]
    lowest: object
    highest: object


def balance_chart(request: HttpRequest, account: Account, postings: Sequence[Transaction]) -> BalanceChart | None:
    """By days, or by `postings` (newest first) while the account is young. None for who may see neither."""
    if not request.user.has_perm("accounts.view_dailybalance"):
        return None
    days = DailyBalance.objects.filter(account_id=account.pk).order_by("-day")[:MOST_POINTS]
    points = [Point(datetime.combine(row.day, time(), UTC), row.closing_balance, day(row.day)) for row in days]
    unit = "Day (UTC)"
    if len(points) < FEW_DAYS:
        unit = "Recorded (UTC)"
        points = [Point(row.recorded_at, row.balance, when(row.recorded_at)) for row in postings]
    return drawn(points, account.currency, unit)


def drawn(points: Sequence[Point], currency: str, unit: str) -> BalanceChart:
    """`points` are newest first."""
    columns = (
        Column(unit, lambda point: point.shown),
        Column("Balance", lambda point: amount(point.balance, currency), numeric=True),
    )
    balances = [point.balance for point in points] or [0]
    return BalanceChart(
        chart=step_chart([(point.at.timestamp(), point.balance) for point in reversed(points)]),
        label=_told(points, currency),
        unit="days on which money moved" if unit.startswith("Day") else "postings",
        headings=columns,
        rows=[[(column, column.cell(point)) for column in columns] for point in points],
        lowest=amount(min(balances), currency),
        highest=amount(max(balances), currency),
    )


def _told(points: Sequence[Any], currency: str) -> str:
    """The drawing in words, for who cannot see it; the table holds each figure."""
    if not points:
        return "No money has moved yet."
    balances = [point.balance for point in points]
    figures = [
        ("from", points[-1].balance),
        ("to", points[0].balance),
        ("lowest", min(balances)),
        ("highest", max(balances)),
    ]
    return "Balance " + ", ".join(f"{name} {format_minor(figure, currency)} {currency}" for name, figure in figures)
