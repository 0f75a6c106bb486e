"""The live bank whose endpoints the guide promises."""

from collections.abc import Iterator

import pytest

from ops.conf import get_settings
from tests.installation import Installation, installed


@pytest.fixture(scope="module")
def live() -> Iterator[Installation]:
    """A web server, as `make run` starts it, on the database of the tests."""
    get_settings.cache_clear()
    with installed() as bank:
        yield bank
