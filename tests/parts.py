"""What tests need beside Python, and a machine may lack."""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skips the test for want of a part; fails it in CI, which has every part that a test asks for here."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str) -> str:
    """Its path."""
    return shutil.which(name) or lacking(f"{name} is missing: install the Debian package `{package}`.")
