"""Checking API keys for an event loop, which cannot wait for the database."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections

from ops.access.keys import changes, check_token, trusted_key
from ops.models import ApiKey

THREADS = 2
"""Of their own: who calls is found out also where requests hold all the threads that requests have."""
CHECKED_WITHIN = 1.0
"""Seconds; a database that takes longer is for threads to wait for."""


class KeyChecks:
    """`check_token` for one event loop: nothing here is locked. A token is asked about once at a time, so that a key
    whose row is held by somebody keeps one thread, whatever comes with it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="keys")
        self._under_way: dict[tuple[str, int], asyncio.Future[ApiKey]] = {}

    async def check(self, token: str) -> ApiKey:
        """
        Raises:
            TimeoutError: the answer did not come within `CHECKED_WITHIN`.
            And what `check_token` raises.
        """
        key = trusted_key(token)
        if key is not None:
            return key
        question = token, changes()  # what was asked before a key was revoked is no answer after that
        asked = self._under_way.get(question)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, _checked, token)
            self._under_way[question] = asked
            asked.add_done_callback(lambda _: self._under_way.pop(question))
        await asyncio.wait([asked], timeout=CHECKED_WITHIN)
        if not asked.done():
            asked.add_done_callback(_is_heard)
            raise TimeoutError
        return asked.result()


def _checked(token: str) -> ApiKey:
    try:
        return check_token(token)
    finally:
        close_old_connections()  # to the pool, as at the end of each of Django's requests


def _is_heard(asked: "asyncio.Future[ApiKey]") -> None:
    """What nobody waited for is no error that nobody has seen to."""
    if not asked.cancelled():
        asked.exception()
