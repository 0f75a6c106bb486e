"""What the launcher puts into the environment of the processes it starts.

Everything the caller set is passed on; the private servers' addresses and the generated keys are added.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ops.embedded.layout import VENV


@dataclass(frozen=True, repr=False)
class Addresses:
    """Where the servers of a bank are. The owner's address is for migrations, the superuser's for tests alone."""

    database: str
    database_owner: str
    redis: str
    database_superuser: str = ""


def base(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the virtual environment's programs first."""
    path = f"{VENV / 'bin'}{os.pathsep}{caller.get('PATH', os.defpath)}"
    return {**caller, "PATH": path, "VIRTUAL_ENV": str(VENV), "PYTHONUNBUFFERED": "1"}


def for_application(caller: Mapping[str, str], addresses: Addresses, secret_key: str) -> dict[str, str]:
    """The environment of every process of the running bank: it knows the application's role only."""
    environment = base(caller)
    for name in ("DATABASE_OWNER_URL", "DATABASE_SUPERUSER_URL"):
        environment.pop(name, None)
    return environment | {
        "DJANGO_SETTINGS_MODULE": "bankes.settings",
        "DATABASE_URL": addresses.database,
        "REDIS_URL": addresses.redis,
        "SECRET_KEY": caller.get("SECRET_KEY") or secret_key,
    }


def for_owner(caller: Mapping[str, str], addresses: Addresses, secret_key: str) -> dict[str, str]:
    """The environment of a migration, which signs in as the owner of the database."""
    return for_application(caller, addresses, secret_key) | {"DATABASE_URL": addresses.database_owner}


def for_tests(caller: Mapping[str, str], addresses: Addresses, secret_key: str) -> dict[str, str]:
    """The environment of a test run or a developer's command, with the addresses of all roles."""
    return for_application(caller, addresses, secret_key) | {
        "DATABASE_OWNER_URL": addresses.database_owner,
        "DATABASE_SUPERUSER_URL": addresses.database_superuser,
    }
