"""Interest: what balances earn and owe, exactly, and what of it is booked.

A day counts with the balance at its end (UTC). A year has 365 days, a leap year too ("Actual/365 Fixed"). Rates are
millionths a year: 25,000 is 2.5 %. Days are added up as whole numbers (minor units times millionths times days), so
nothing is lost on the way; only what a month comes to is rounded, once, half to even.
"""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct

from accounts.domain.errors import ErrorCode, Refusal

DAYS_OF_YEAR = 365
WHOLE = 1_000_000
"""The rate of 100 %."""
UNIT = DAYS_OF_YEAR * WHOLE
"""Of this many exact units one minor unit is made."""
_PERCENT = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,4}))?", re.ASCII)


class Kind(StrEnum):
    """Which way: what the bank pays for balances above zero, and what is paid to it for those below."""

    EARNED = "earned"
    OWED = "owed"


class Span(Struct, frozen=True):
    """Days on end with one balance and one rate: from `since` until the day before `until`. Minor units, millionths a
    year."""

    since: date
    until: date
    balance: int
    rate: int

    @property
    def days(self) -> int:
        return (self.until - self.since).days

    @property
    def kind(self) -> Kind:
        return Kind.EARNED if self.balance > 0 else Kind.OWED

    @property
    def exact(self) -> int:
        """Zero or more, in units of 1/`UNIT` of a minor unit."""
        return abs(self.balance) * self.rate * self.days


def exact_sums(spans: Iterable[Span]) -> dict[Kind, int]:
    """What spans come to, each way, as `Span.exact`; kinds that come to nothing are left out."""
    sums = dict.fromkeys(Kind, 0)
    for span in spans:
        sums[span.kind] += span.exact
    return {kind: exact for kind, exact in sums.items() if exact}


def booked(exact: int) -> int:
    """Minor units: `exact` units, which are zero or more, rounded half to even."""
    whole, rest = divmod(exact, UNIT)
    return whole + (2 * rest > UNIT or (2 * rest == UNIT and whole % 2))


def month_of(day: date) -> date:
    """A month is named by its first day."""
    return day.replace(day=1)


def month_after(month: date) -> date:
    return month_of(month + timedelta(days=31))


def parse_percent(text: object, *, field: str) -> int:
    """A rate of a year as people write it: "2.5" is 25,000 millionths.

    Raises:
        Refusal: `validation_failed`, naming `field`: it is no percentage from 0 to 100 of up to four decimals.
    """
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    rate = int(match.group(1)) * 10_000 + int((match.group(2) or "").ljust(4, "0")) if match else WHOLE + 1
    if rate > WHOLE:
        raise Refusal(
            ErrorCode.VALIDATION_FAILED,
            'Write the rate of a year as a percentage from 0 to 100, such as "2.5", with up to four decimals.',
            field=field,
        )
    return rate


def format_percent(rate: int) -> str:
    """Millionths as people write them: 25,000 is "2.50 %"."""
    whole, decimals = divmod(rate, 10_000)
    digits = f"{decimals:04}"
    return f"{whole}.{digits[:2]}{digits[2:].rstrip('0')} %"
