"""POOL_AUTO_SCALING: the ceiling rises while callers wait, sinks when it is long not needed, and stays in bounds."""

import threading
import time

from ops.conf import get_settings
from ops.database.pool import Pool
from ops.database.scaling import SINK_AFTER, Scaler, Seen, begin
from ops.database.watching import Watched
from tests.configured import configured

CALM, PRESSED = Seen(in_use=0, waiting=0, requests=0, wait_ms=0), Seen(in_use=4, waiting=3, requests=9, wait_ms=900)


def test_it_rises_step_by_step_with_time_between_to_help_and_never_beyond_the_limit() -> None:
    scaler = Scaler(floor=2, limit=20, now=0)
    assert scaler.ceiling == 4
    assert [scaler.decide(PRESSED, now) for now in (0, 1, 2, 4, 6, 8, 10, 100)] == [6, 6, 9, 14, 20, 20, 20, 20]


def test_it_sinks_after_a_long_calm_slowly_and_never_below_the_floor() -> None:
    scaler = Scaler(floor=2, limit=20, now=0)
    for now in range(0, 20, 2):
        scaler.decide(PRESSED, now)
    assert scaler.decide(CALM, 18 + SINK_AFTER - 1) == 20
    ceilings = [scaler.decide(CALM, 18 + SINK_AFTER * step) for step in range(1, 9)]
    assert ceilings == [13, 8, 5, 4, 4, 4, 4, 4]


def test_one_wait_puts_the_calm_back_to_its_beginning() -> None:
    scaler = Scaler(floor=2, limit=20, now=0)
    scaler.decide(PRESSED, 0)
    scaler.decide(Seen(in_use=3, waiting=0, requests=5, wait_ms=0), SINK_AFTER - 1)
    assert scaler.decide(CALM, SINK_AFTER + 10) == 6


def test_waits_that_are_short_do_not_count_as_pressure() -> None:
    assert not Seen(in_use=4, waiting=0, requests=100, wait_ms=1500).under_pressure
    assert Seen(in_use=4, waiting=0, requests=100, wait_ms=2500).under_pressure


def test_a_real_pool_grows_under_real_waits_and_is_left_alone_without_the_setting() -> None:
    def pool() -> Pool:
        url = get_settings().database_url.get_secret_value()
        return Pool(url, min_size=2, max_size=20, open=True)

    with configured(pool_auto_scaling="true"), pool() as scaled:
        watched = Watched(scaled)
        assert scaled.max_size == 4
        held = [scaled.getconn() for _ in range(4)]
        late = threading.Thread(target=lambda: held.append(scaled.getconn(timeout=10)))
        late.start()
        while not scaled.get_stats()["requests_waiting"]:
            time.sleep(0.01)
        watched.look()
        assert scaled.max_size == 6
        scaled.putconn(held.pop())
        late.join(10)
        fifth = scaled.getconn(timeout=5)
        for conn in (*held, fifth):
            scaled.putconn(conn)
        assert watched.fact()["auto_scaling"] is True
    with pool() as plain:
        assert begin(plain) is None
        assert plain.max_size == 20
