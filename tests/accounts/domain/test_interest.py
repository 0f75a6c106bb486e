"""Interest is added up exactly, and rounded once."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.interest import (
    UNIT,
    WHOLE,
    Kind,
    Span,
    booked,
    exact_sums,
    format_percent,
    month_after,
    month_of,
    parse_percent,
)
from accounts.domain.money import MAX_BALANCE

days = st.dates(date(1990, 1, 1), date(2190, 1, 1))
balances = st.integers(-MAX_BALANCE, MAX_BALANCE)
rates = st.integers(0, WHOLE)


@given(days, st.integers(1, 40), st.integers(1, 40), balances, rates)
def test_it_does_not_matter_how_days_are_cut_into_spans(
    since: date, first: int, second: int, balance: int, rate: int
) -> None:
    between, until = since + timedelta(days=first), since + timedelta(days=first + second)

    cut = exact_sums([Span(since, between, balance, rate), Span(between, until, balance, rate)])

    assert cut == exact_sums([Span(since, until, balance, rate)])


@given(days, st.integers(1, 31), balances, rates)
def test_a_span_is_worth_its_balance_at_the_rate_for_its_days_of_365(
    since: date, count: int, balance: int, rate: int
) -> None:
    sums = exact_sums([Span(since, since + timedelta(days=count), balance, rate)])

    worth = Fraction(abs(balance)) * Fraction(rate, 1_000_000) * Fraction(count, 365)
    assert Fraction(sum(sums.values()), UNIT) == worth
    assert set(sums) == ({Kind.EARNED if balance > 0 else Kind.OWED} if worth else set())


def test_what_is_earned_and_what_is_owed_are_not_set_off_against_each_other() -> None:
    day = date(2026, 1, 1)
    spans = [Span(day, date(2026, 1, 2), 365, WHOLE), Span(date(2026, 1, 2), date(2026, 1, 4), -365, WHOLE)]

    assert {kind: booked(exact) for kind, exact in exact_sums(spans).items()} == {Kind.EARNED: 1, Kind.OWED: 2}


@given(st.integers(0, UNIT * 10**6))
def test_it_is_rounded_half_to_even(exact: int) -> None:
    assert booked(exact) == round(Fraction(exact, UNIT))


@pytest.mark.parametrize(
    ("exact", "minor"), [(UNIT // 2, 0), (UNIT // 2 + 1, 1), (3 * UNIT // 2, 2), (5 * UNIT // 2, 2), (UNIT, 1)]
)
def test_halves_go_to_the_even_neighbour(exact: int, minor: int) -> None:
    assert booked(exact) == minor


def test_a_leap_day_counts_as_any_other() -> None:
    february = Span(date(2028, 2, 1), date(2028, 3, 1), 36_500, WHOLE)

    assert booked(february.exact) == 2_900


@pytest.mark.parametrize(
    ("text", "rate"), [("0", 0), ("2.5", 25_000), ("0.0001", 1), ("100", WHOLE), ("3.1415", 31_415), ("12", 120_000)]
)
def test_a_rate_is_written_as_a_percentage(text: str, rate: int) -> None:
    assert parse_percent(text, field="earned") == rate


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "2,5", "1e1", "100.0001", "101", "0.00001", "02", "NaN", " 1", "٣", None]
)
def test_what_is_no_percentage_is_refused(text: object) -> None:
    with pytest.raises(Refusal, match="percentage from 0 to 100") as refused:
        parse_percent(text, field="earned")
    assert (refused.value.code, refused.value.field) == (ErrorCode.VALIDATION_FAILED, "earned")


@given(rates)
def test_what_is_formatted_is_parsed_back_to_the_same_rate(rate: int) -> None:
    assert parse_percent(format_percent(rate).removesuffix(" %"), field="earned") == rate


@given(days)
def test_months_follow_one_another(day: date) -> None:
    month = month_of(day)

    assert month <= day < month_after(month)
    assert month_after(month).day == 1
    assert (month_after(month) - month).days in (28, 29, 30, 31)
