"""Servers that a test may break."""

from tests.faults.conftest import redis_server

__all__ = ["redis_server"]
