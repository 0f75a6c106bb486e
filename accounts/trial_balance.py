"""The books of a day: what each ledger account stood at, moved, and stands at, and that it all sums to zero.

Days are UTC days, by the moment of recording, as everywhere here. The figures come from the read model
`ledger_days`; `is_final` tells that nothing of the day can be on its way to it any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from django.db import connection
from django.utils import timezone

from accounts.days import SETTLED_AFTER, end_of, lacks_of
from accounts.domain.errors import ErrorCode, Refusal
from accounts.projections.ledger_days import LedgerDays

_FIGURES = """
    SELECT currency, ledger_account, coalesce(sum(credits + debits) FILTER (WHERE day < %(day)s), 0),
           coalesce(sum(credits) FILTER (WHERE day = %(day)s), 0),
           coalesce(sum(debits) FILTER (WHERE day = %(day)s), 0),
           coalesce(sum(lines) FILTER (WHERE day = %(day)s), 0)
      FROM ledger_days
     WHERE day <= %(day)s
     GROUP BY currency, ledger_account
     ORDER BY currency, ledger_account
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger account's day, in signed minor units: a credit is positive, so what the bank owes its customers is,
    and what it has in cash is negative. `debits` is zero or less."""

    ledger_account: str
    opening: int
    credits: int
    debits: int
    lines: int

    @property
    def closing(self) -> int:
        return self.opening + self.credits + self.debits


@dataclass(frozen=True, slots=True)
class CurrencyBooks:
    """All ledger accounts of a currency. In sound books the opening and the closing balances sum to zero."""

    currency: str
    entries: Sequence[Entry]

    @property
    def total(self) -> Entry:
        figures = [(each.opening, each.credits, each.debits, each.lines) for each in self.entries]
        return Entry("", *map(sum, zip(*figures, strict=True)))

    @property
    def is_balanced(self) -> bool:
        return not self.total.opening and not self.total.closing


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """`lacks`: what is not in the figures although it was recorded by then, and what to do; "" where all of it is."""

    day: date
    books: Sequence[CurrencyBooks]
    is_final: bool
    lacks: str

    @property
    def is_balanced(self) -> bool:
        return all(books.is_balanced for books in self.books)


def trial_balance(day: date) -> TrialBalance:
    """The books of a day, today's as they are now.

    Raises:
        Refusal: `validation_failed`: the day has not begun.
    """
    now = timezone.now()
    if day > now.date():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "That day has not begun (days are UTC days).", field="day")
    lacks = lacks_of(LedgerDays.name, day)
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"day": day})
        rows = cursor.fetchall()
    books = [
        CurrencyBooks(currency, [Entry(name, *map(int, figures)) for _, name, *figures in found])
        for currency, found in groupby(rows, key=lambda row: row[0])
    ]
    return TrialBalance(day, books, is_final=now >= end_of(day) + SETTLED_AFTER and not lacks, lacks=lacks)
