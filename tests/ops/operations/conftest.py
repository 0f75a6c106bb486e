"""A client of the API."""

from tests.accounts.api.conftest import api

__all__ = ["api"]
