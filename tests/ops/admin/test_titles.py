"""A page goes by one name: the menu's."""

import pytest
from django.urls import reverse

from bankes.navigation import GROUPS
from tests.staff import make_superuser, signed_in

MENU = [(name, model) for _, entries in GROUPS for name, _, model in entries]


@pytest.mark.parametrize(("name", "model"), MENU, ids=[model for _, model in MENU])
def test_a_page_is_called_what_the_menu_calls_it(db: None, name: str, model: str) -> None:
    page = signed_in(make_superuser()).get(reverse(f"admin:{model.replace('.', '_')}_changelist"), follow=True)
    assert page.status_code == 200
    assert page.context["title"] == name
