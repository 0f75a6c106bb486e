"""What a field is described by, for people who do not see the page: its help and errors are on it, by their ids."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.admin.commands.pages import ACCOUNT_COMMANDS, HOLD_COMMANDS
from tests.bank import Bank
from tests.staff import make_staff, make_superuser, signed_in


@pytest.fixture
def root(db: None) -> Client:
    return signed_in(make_superuser())


def described(answer: Any) -> set[str]:
    """The ids that the page's fields are described by.

    Raises:
        AssertionError: one of them is not in the page, or is there twice.
    """
    page = answer.content.decode()
    ids = re.findall(r'\bid="([^"]*)"', page)
    named = {one for value in re.findall(r'aria-describedby="([^"]*)"', page) for one in value.split()}
    assert {one: ids.count(one) for one in named if ids.count(one) != 1} == {}
    return named


def test_the_fields_of_each_command_are_described_by_what_is_on_the_page(bank: Bank, root: Client) -> None:
    ann = bank.open("10.00")
    hold = bank.hold(ann, "1.00")
    for url in (*(page.url(ann) for page in ACCOUNT_COMMANDS), *(page.url(hold) for page in HOLD_COMMANDS)):
        assert "id_reason_helptext" in described(root.get(url)), url
        assert {"id_reason_helptext", "id_reason_error"} <= described(root.post(url, {})), url


def test_the_fields_of_staff_and_roles_are_described_by_what_is_on_the_page(root: Client) -> None:
    tina = make_staff("viewer", name="tina")
    for url in (
        "/admin/auth/user/add/",
        f"/admin/auth/user/{tina.pk}/change/",
        f"/admin/auth/group/{tina.groups.get().pk}/change/",
        f"/admin/auth/user/{tina.pk}/password/",
    ):
        assert "id_reason_helptext" in described(root.get(url)), url
        assert {"id_reason_helptext", "id_reason_error"} <= described(root.post(url, {})), url
