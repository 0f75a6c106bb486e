"""Other settings for the length of a block, as the environment would give them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ops.conf import get_settings


@contextmanager
def configured(**settings: object) -> Iterator[None]:
    """`configured(deadlock_operation_timeout=1)`. What Django read at its start (pool sizes) is not changed by it."""
    names = {name.upper(): str(value) for name, value in settings.items()}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    get_settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        get_settings.cache_clear()
