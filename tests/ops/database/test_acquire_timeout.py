"""The longest wait for a connection has two names, and is kept: an exhausted pool answers, and never hangs."""

import time

import pytest
from django.db import connection

from ops.conf import ConfigurationError, get_settings
from tests.accounts.admin.forms import form_of
from tests.bank import Bank
from tests.configured import configured
from tests.pools import all_connections_taken
from tests.staff import make_staff, signed_in


@pytest.mark.parametrize("name", ["pool_acquire_timeout", "connection_acquire_timeout"])
def test_either_name_sets_it(name: str) -> None:
    with configured(**{name: 7}):
        settings = get_settings()
    assert (settings.connection_acquire_timeout, settings.pool_acquire_timeout) == (7, 7)


def test_two_different_values_stop_the_start_with_a_sentence_that_names_both() -> None:
    with (
        configured(pool_acquire_timeout=9, connection_acquire_timeout=8),
        pytest.raises(ConfigurationError, match=r"POOL_ACQUIRE_TIMEOUT is 9 and CONNECTION_ACQUIRE_TIMEOUT 8"),
    ):
        get_settings()


def test_it_is_the_pool_s_own_limit() -> None:
    assert connection.pool is not None
    assert connection.pool.timeout == get_settings().connection_acquire_timeout


def test_with_an_exhausted_pool_the_admin_answers_503_within_that_time_and_the_same_form_succeeds_later(
    bank: Bank,
) -> None:
    ann, teller = bank.open("1.00"), signed_in(make_staff("teller"))
    url = f"/admin/accounts/account/{ann}/deposit/"
    form = {**form_of(teller, url), "amount": "5.00", "reason": "at the desk"}
    before = bank.footprint()
    teller.raise_request_exception = False  # as a server answers
    with all_connections_taken(patience=0.3):
        began = time.monotonic()
        answer = teller.post(url, form)
        took = time.monotonic() - began
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert took < 3
    assert bank.footprint() == before
    assert teller.post(url, form).status_code == 302
    assert bank.balance(ann) == 600
