"""Scopes: what keys may be good for, registered by the floors that check them."""

import pytest

from ops.access.scopes import known_scopes


def test_every_floor_has_registered_its_scopes() -> None:
    assert {"ops:read", "accounts:read", "accounts:write", "accounts:admin", "payments:write"} <= set(known_scopes())
    assert all(known_scopes().values()), "each says what it allows"


def test_the_scopes_under_which_holds_are_read_and_placed_say_so() -> None:
    assert {name for name, text in known_scopes().items() if "holds" in text} == {"accounts:read", "payments:write"}


def test_nobody_adds_one_past_the_registration() -> None:
    with pytest.raises(TypeError):
        known_scopes()["root"] = "everything"  # type: ignore[index]
