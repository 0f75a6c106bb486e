"""What the tests of the ground floor share."""

import pytest

from tests.ops.operators import Operator


@pytest.fixture
def operator(db: None) -> Operator:
    return Operator()
