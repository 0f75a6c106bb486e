"""Money: integer minor units with an ISO 4217 currency. Never a float."""

import re

from msgspec import Struct

from accounts.domain.currencies import EXPONENTS
from accounts.domain.errors import ErrorCode, Refusal

MAX_AMOUNT = 10**13
"""Most that one movement may move, in minor units (100 billion EUR)."""
MAX_BALANCE = 10**17
"""Most that an account may hold or owe, in minor units. Leaves room below 2**63 for sums."""

_NEGATIVE = re.compile(r"-(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_HUGE = re.compile(r"[1-9][0-9]{18,}(?:\.[0-9]+)?", re.ASCII)
"""Beyond `_DECIMAL`, and never made a number: how long it takes would be the sender's choice."""
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,18}))?", re.ASCII)


class Money(Struct, frozen=True):
    """An amount in minor units (cents, yen, fils) of a currency."""

    minor: int
    currency: str

    def __str__(self) -> str:
        return f"{format_minor(self.minor, self.currency)} {self.currency}"


def exponent_of(currency: str) -> int:
    """Decimals of a currency: JPY 0, EUR 2, BHD 3.

    Raises:
        Refusal: `validation_failed` when the code is not an ISO 4217 currency in use.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise Refusal(
            ErrorCode.VALIDATION_FAILED,
            "The currency must be an ISO 4217 code in capital letters, such as EUR.",
            field="currency",
        ) from None


def parse_decimal(text: object, currency: str, *, field: str = "amount") -> int:
    """A decimal string, zero or more, in minor units of `currency`: "10.5" EUR -> 1050.

    Takes plain digits with an optional point and no more decimals than the currency has: no sign, exponent,
    space, grouping, NaN, nor a number in place of a string.

    Raises:
        Refusal: `invalid_amount`, or `amount_too_large` above `MAX_AMOUNT`, naming `field`.
    """
    exponent = exponent_of(currency)
    match = _DECIMAL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _not_a_decimal(text, currency, field)
    whole, decimals = match.group(1), match.group(2) or ""
    if len(decimals) > exponent:
        raise Refusal(
            ErrorCode.INVALID_AMOUNT,
            f"{currency} has {exponent} decimals; the amount has {len(decimals)}.",
            field=field,
        )
    minor = int(whole + decimals.ljust(exponent, "0"))
    if minor > MAX_AMOUNT:
        raise _too_large(currency, field)
    return minor


def _not_a_decimal(text: object, currency: str, field: str) -> Refusal:
    if isinstance(text, str) and _HUGE.fullmatch(text):
        return _too_large(currency, field)
    told = f'Write the amount as a string of digits with a point, such as "{format_minor(1234, currency)}".'
    if isinstance(text, str) and _NEGATIVE.fullmatch(text):
        told = "The amount must not be negative."
    return Refusal(ErrorCode.INVALID_AMOUNT, told, field=field)


def _too_large(currency: str, field: str) -> Refusal:
    told = f"The amount is above the limit of {format_minor(MAX_AMOUNT, currency)} {currency}."
    return Refusal(ErrorCode.AMOUNT_TOO_LARGE, told, field=field)


def parse_money(text: object, currency: str, *, field: str = "amount") -> Money:
    """As `parse_decimal`, for an amount that is to be moved: it must be above zero."""
    minor = parse_decimal(text, currency, field=field)
    if minor == 0:
        raise Refusal(ErrorCode.INVALID_AMOUNT, "The amount must be above zero.", field=field)
    return Money(minor, currency)


def format_minor(minor: int, currency: str) -> str:
    """Minor units as a decimal string with all of the currency's decimals: 1050 EUR -> "10.50"."""
    exponent = EXPONENTS[currency]
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).rjust(exponent + 1, "0")
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)
