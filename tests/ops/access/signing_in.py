"""Signing in by the form, as far as Django's own client goes."""

from typing import Any

from django.test import Client

from tests.staff import PASSWORD

LOGIN, CODE, ENROL = "/admin/login/", "/admin/second-factor/", "/admin/second-factor/enrol/"


def give_password(browser: Client, name: str, password: str = PASSWORD, **extra: Any) -> Any:
    return browser.post(LOGIN, {"username": name, "password": password}, **extra)


def is_in(browser: Client) -> bool:
    return browser.get("/admin/").status_code == 200
