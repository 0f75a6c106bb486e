"""Whatever is sent as an amount: never a 500, and never money moved wrongly."""

from decimal import Decimal, InvalidOperation
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.accounts.api.caller import Caller
from tests.bank import Bank

CURRENCIES = {"EUR": 2, "JPY": 0, "BHD": 3}
LIMIT = Decimal(10**13)

plain = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=4).map(lambda d: format(d, "f"))
near = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+", " ", "0", "00"]),
    st.integers(0, 10**20),
    st.sampled_from(["", ".", ",", "e", "E+", "_", "\u0000", "\u0660", "．", "\n"]),
    st.one_of(st.just(""), st.integers(0, 10**6).map(str)),
)
odd = st.sampled_from(
    ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1e5", "0x1F", "١٢", "１２", "½", "", "--1", "1" * 400]
)
anything = st.one_of(
    plain,
    near,
    odd,
    st.text(max_size=30),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amount=anything, currency=st.sampled_from(sorted(CURRENCIES)))
def test_an_amount_is_either_booked_to_the_last_digit_or_refused(
    api: Caller, bank: Bank, amount: Any, currency: str
) -> None:
    account_id = api.open(currency=currency)
    expected = _as_minor(amount, CURRENCIES[currency])

    answer = api.post(f"/accounts/{account_id}/deposits", {"amount": amount, "currency": currency})

    assert answer.status_code == (400 if expected is None else 200), (amount, answer.content)
    assert bank.balance(account_id) == (expected or 0)  # type: ignore[arg-type]


def _as_minor(amount: Any, exponent: int) -> int | None:
    """An independent reading: plain ASCII digits, no more decimals than the currency has, within the limit."""
    if not isinstance(amount, str) or not amount.isascii() or set(amount) - set("0123456789."):
        return None
    whole, point, decimals = amount.partition(".")
    if not whole or (point and not decimals) or len(decimals) > exponent or "." in decimals:
        return None
    if len(whole) > 1 and whole.startswith("0"):
        return None
    try:
        minor = Decimal(amount).scaleb(exponent)
    except InvalidOperation:
        return None
    return int(minor) if 0 < minor <= LIMIT else None
