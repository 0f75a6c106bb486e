"""The benchmark's own parts do what the table says of them; how fast anything is, is not judged here."""

import os
from collections.abc import Iterator

import pytest

from tests.benchmarks import contenders, yardstick
from tests.benchmarks.books import Books
from tests.benchmarks.figures import Costs, Figure
from tests.benchmarks.report import Results
from tests.benchmarks.web import bare_server, web_server
from tests.parts import program


@pytest.fixture
def wrk() -> str:
    return program("wrk", "wrk")


@pytest.fixture
def books(db: None) -> Iterator[Books]:
    some = Books()
    yield some
    some.close()


@pytest.mark.usefixtures("wrk")
def test_a_second_of_load_over_http_is_acknowledged_and_booked(books: Books) -> None:
    with web_server(fast_lane=True) as url:
        for contender in contenders.HTTP[:2]:
            figure = contenders.over_http(books, url, contender, 8, 1)
            assert figure.rate > 0
            assert (figure.errors, figure.wrong) == (0, ())
            costs = figure.costs
            assert None not in (costs.postgres, costs.web, costs.batch)
            assert 1 <= costs.batch <= 8, "no more than there were callers"  # type: ignore[operator]


@pytest.mark.skipif(not yardstick.program(), reason="the yardstick needs pgbench")
def test_the_yardstick_keeps_its_own_books(db: None) -> None:
    bar = yardstick.Yardstick()
    for spread in yardstick.SCRIPTS:
        figure = bar.measure(spread, 2, 1)
        assert figure.rate > 0
        assert figure.wrong == ()
        assert figure.costs.postgres
        assert figure.costs.postgres < 2e6 / figure.rate * os.cpu_count(), "no more than there was"  # type: ignore[operator]


def test_books_that_lack_a_transfer_or_have_one_too_many_are_told(books: Books) -> None:
    before = books.mark()
    books.bank.transfer(books.ids[0], books.ids[1], "1.00")
    assert books.wrong(before, 1) == ()
    assert books.wrong(before, 2) == ("2 transfers were acknowledged and 1 made",)
    assert books.wrong(before, 0) == ("0 transfers were acknowledged and 1 made",)
    books.bank.deposit(books.ids[0], "1.00")
    assert "money changed by 100" in books.wrong(before, 1)


def test_a_ratio_is_the_median_of_the_rounds_and_errors_spoil_the_result() -> None:
    results = Results()
    for rate in (10.0, 30.0, 50.0):
        results.add("ours", 8, Figure(rate), Figure(100.0), 0.4)
    assert "| ours | 8 | 0.30 | 30 |" in results.table()
    assert "missed by 25 %" in results.table()
    assert results.is_sound()
    results.add("ours", 8, Figure(90.0, errors=3), Figure(100.0), 0.4)
    assert not results.is_sound()


def test_a_goal_that_was_missed_is_told_with_what_it_leaves_for_a_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    results = Results()
    results.add("met", 8, Figure(1000.0), Figure(1000.0), 0.4)
    assert "for the goal" not in results.table()
    results.add("ours", 8, Figure(1000.0, costs=Costs(400.0, 900.0)), Figure(5000.0), 0.4)
    assert "| ours | 8 | 1,000 | 2,000 | 1,300 | 700 |" in results.table()


@pytest.mark.usefixtures("wrk")
def test_a_second_of_load_on_the_web_server_alone_is_answered(books: Books) -> None:
    with bare_server() as url:
        figure = contenders.bare(books, url, 8, 1)
    assert figure.rate > 0
    assert figure.errors == 0
    assert figure.costs.web
    assert figure.costs.postgres is None
