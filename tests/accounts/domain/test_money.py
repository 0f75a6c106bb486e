"""Amounts are exact: what is written is what is booked, and what cannot be booked is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.currencies import EXPONENTS
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import MAX_AMOUNT, format_minor, parse_decimal, parse_money

currencies = st.sampled_from(sorted(EXPONENTS))


@given(currencies, st.integers(1, MAX_AMOUNT))
def test_what_is_formatted_is_parsed_back_to_the_same_minor_units(currency: str, minor: int) -> None:
    assert parse_money(format_minor(minor, currency), currency).minor == minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("10", "EUR", 1000), ("10.5", "EUR", 1050), ("0.01", "EUR", 1), ("7", "JPY", 7), ("1.234", "BHD", 1234)],
)
def test_each_currency_has_its_own_decimals(text: str, currency: str, minor: int) -> None:
    assert parse_money(text, currency).minor == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.001", "EUR"),
        ("1.0", "JPY"),
        ("1.0001", "BHD"),
        ("0", "EUR"),
        ("0.00", "EUR"),
        ("-1", "EUR"),
        ("+1", "EUR"),
        ("1e3", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1,50", "EUR"),
        (" 1", "EUR"),
        ("1 ", "EUR"),
        ("1\n", "EUR"),
        ("01", "EUR"),
        (".5", "EUR"),
        ("5.", "EUR"),
        ("", "EUR"),
        ("١٢", "EUR"),
        ("１２", "EUR"),
        ("0x10", "EUR"),
        ("1_000", "EUR"),
    ],
)
def test_what_is_not_a_plain_positive_decimal_is_refused(text: str, currency: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_money(text, currency)
    assert refused.value.code is ErrorCode.INVALID_AMOUNT
    assert refused.value.field == "amount"


@pytest.mark.parametrize("value", [10, 10.5, None, True, ["1"], {"amount": "1"}, b"1"])
def test_an_amount_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(Refusal):
        parse_money(value, "EUR")


def test_an_amount_above_the_limit_is_refused_and_the_limit_itself_is_not() -> None:
    assert parse_money(format_minor(MAX_AMOUNT, "EUR"), "EUR").minor == MAX_AMOUNT
    with pytest.raises(Refusal) as refused:
        parse_money(format_minor(MAX_AMOUNT + 1, "EUR"), "EUR")
    assert refused.value.code is ErrorCode.AMOUNT_TOO_LARGE


@pytest.mark.parametrize("text", ["100000000000.01", "9" * 18, "9" * 19, "99999999999999999999.00", "9" * 5000])
def test_an_amount_of_any_length_above_the_limit_is_told_so(text: str) -> None:
    with pytest.raises(Refusal, match=r"above the limit of 100000000000\.00 EUR") as refused:
        parse_money(text, "EUR")
    assert refused.value.code is ErrorCode.AMOUNT_TOO_LARGE


@pytest.mark.parametrize("text", ["-1", "-1.00", "-0.01", "-" + "9" * 30])
def test_an_amount_below_zero_is_told_so(text: str) -> None:
    with pytest.raises(Refusal, match="must not be negative") as refused:
        parse_decimal(text, "EUR", field="overdraft_limit")
    assert (refused.value.code, refused.value.field) == (ErrorCode.INVALID_AMOUNT, "overdraft_limit")


@given(st.text(max_size=30), currencies)
def test_any_text_is_either_money_or_a_refusal(text: str, currency: str) -> None:
    try:
        minor = parse_decimal(text, currency)
    except Refusal as refusal:
        field, minor = refusal.field, 0
    else:
        field = "amount"
    assert field == "amount"
    assert 0 <= minor <= MAX_AMOUNT


@pytest.mark.parametrize("currency", ["eur", "EURO", "XXX", "", "€"])
def test_an_unknown_currency_is_refused_by_name(currency: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_money("1", currency)
    assert refused.value.field == "currency"


@pytest.mark.parametrize(("minor", "text"), [(5, "0.05"), (-5, "-0.05"), (0, "0.00"), (123456, "1234.56")])
def test_small_and_negative_amounts_keep_all_their_decimals(minor: int, text: str) -> None:
    assert format_minor(minor, "EUR") == text
