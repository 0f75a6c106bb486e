"""Figures of the last hours: sampled once a minute, kept for two days, drawn as they are."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.utils import timezone

from ops.detectors.monitor import Monitor
from ops.models import Sample
from ops.overview import drawn
from ops.trends import Trend, latest, register_trend, registered_trends, sample, series
from ops.trends import registry as trends

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def own_sources(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[trends.Source]]:
    found: list[trends.Source] = []
    monkeypatch.setattr(trends, "_sources", found)
    return found


def put(name: str, *values: tuple[float, int]) -> None:
    """(minutes ago, value)."""
    now = timezone.now()
    Sample.objects.bulk_create(
        Sample(at=now - timedelta(minutes=ago), name=name, value=value) for ago, value in values
    )


def test_a_sample_has_every_trend_and_what_sources_say(own_sources: list[trends.Source]) -> None:
    own_sources.append(lambda: {"money_in:EUR": 2**60})

    taken = sample()

    kept = dict(Sample.objects.values_list("name", "value"))
    assert len(kept) == taken
    assert {trend.name for trend in registered_trends()} <= set(kept)
    assert kept["money_in:EUR"] == 2**60, "minor units to the last one"


def test_a_source_that_fails_spoils_no_other_figure(own_sources: list[trends.Source]) -> None:
    def broken() -> dict[str, int]:
        raise OperationalError("the server closed the connection")

    own_sources += [broken, lambda: {"good": 1}]
    sample()
    assert Sample.objects.filter(name="good").exists()


def test_what_is_older_than_two_days_goes(own_sources: list[trends.Source]) -> None:
    put("events", (49 * 60, 1), (47 * 60, 2))
    sample()
    assert Sample.objects.filter(name="events", value=2).exists()
    assert not Sample.objects.filter(name="events", value=1).exists()


def test_the_leading_monitor_samples_once_a_minute() -> None:
    monitor = Monitor()
    for _ in range(3):
        monitor.look()
    assert Sample.objects.filter(name="operations_in_hand").count() == 1


def test_a_count_is_drawn_as_its_gain_in_each_minute() -> None:
    trend = Trend("x", "X", "a minute", "feed", "last", per_minute=True)
    put("x", (3, 100), (2, 160), (0, 180), (60 * 7, 5))

    gains = [round(value) for _, value in series(trend)]

    assert gains == [60, 10], "and what is older than the drawing is not in it"


def test_the_latest_figures_are_those_of_one_sample() -> None:
    put("money_in:EUR", (5, 1))
    now = timezone.now()
    Sample.objects.create(at=now, name="money_in:USD", value=Decimal(7))

    at, figures = latest("money_", since=now - timedelta(hours=1))

    assert (at, figures) == (now, {"money_in:USD": 7})
    assert latest("money_", since=now + timedelta(seconds=1)) == (None, {})


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register_trend(registered_trends()[0])


@pytest.mark.parametrize(("figure", "said"), [(1, "1 operation"), (0, "0 operations"), (12, "12 operations")])
def test_one_of_something_is_told_in_the_singular(figure: int, said: str) -> None:
    trend = Trend("x", "X", "operations", "operations", "in_hand")
    put("x", (2, 7), (1, figure))
    drawing = drawn(trend)
    assert drawing is not None
    assert drawing.now == said
