"""APPROVAL_REVERSAL_LIMITS and its like: written well, or the bank does not start."""

import pytest

from accounts.roles import ROLES
from accounts.services import second_person as services
from ops.conf import ConfigurationError, get_settings
from tests.configured import configured


@pytest.mark.parametrize("value", ["supervisor:EUR", "supervisor=1.00", "supervisor:eur=1", "supervisor:EUR=-1", "x"])
def test_a_limit_that_is_not_written_well_stops_the_start(value: str) -> None:
    with configured(approval_reversal_limits=value), pytest.raises(ConfigurationError, match="APPROVAL_REVERSAL"):
        get_settings()


@pytest.mark.parametrize(
    ("value", "told"),
    [("boss:EUR=1.00", "no role boss"), ("teller:XXY=1.00", "XXY"), ("teller:JPY=1.00", "JPY has 0 decimals")],
)
def test_a_limit_for_a_role_or_currency_that_there_is_not_stops_the_start(value: str, told: str) -> None:
    with configured(approval_reversal_limits=value), pytest.raises(ConfigurationError, match=told):
        services.require_sound_limits(ROLES)
