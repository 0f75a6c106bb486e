"""Every answer of every route tells browsers what to refuse."""

from typing import Any

import pytest
from django.test import Client

from tests.routes import filled, routes
from tests.staff import make_superuser, signed_in

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}
STRICT = {
    "default-src": {"'none'"},
    "object-src": {"'none'"},
    "base-uri": {"'none'"},
    "frame-ancestors": {"'none'"},
    "form-action": {"'self'"},
    "connect-src": {"'self'"},
    "script-src": {"'self'"},
    "style-src": {"'self'"},
    "img-src": {"'self'"},
}


@pytest.fixture
def over_https(settings: Any) -> None:
    """As SECURE_COOKIES=true has it."""
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True


def policy(answer: Any) -> dict[str, set[str]]:
    directives = [part.split() for part in answer["Content-Security-Policy"].split(";")]
    return {name: {word for word in words if not word.startswith("'nonce-")} for name, *words in directives}


def faults(answer: Any) -> list[str]:
    missing = [name for name, value in EXPECTED.items() if answer.headers.get(name) != value]
    if "camera=()" not in answer.headers.get("Permissions-Policy", ""):
        missing.append("Permissions-Policy")
    return missing


def test_all_routes_carry_all_headers_whoever_asks(db: None, over_https: None) -> None:
    paths = [filled(route) for route, _ in routes()]
    assert len(paths) > 100
    wrong = {path: faults(Client().get(path, secure=True)) for path in [*paths, "/nothing/here", "/static/none.js"]}

    assert {path: names for path, names in wrong.items() if names} == {}


def test_pages_outside_the_admin_have_the_strict_policy(db: None) -> None:
    anonymous = Client()
    for route, _ in routes():
        if not route.startswith("admin/"):
            told = policy(anonymous.get(filled(route)))
            own = {"img-src": {"'self'", "data:"}} if route == "api/docs/" else {}  # Swagger UI's own signs
            assert {name: told[name] for name in STRICT} == {**STRICT, **own}, route


def test_the_admin_adds_what_its_theme_needs_and_no_more(db: None) -> None:
    for client, path in ((Client(), "/admin/login/"), (signed_in(make_superuser()), "/admin/accounts/account/")):
        told = policy(client.get(path))

        assert told["script-src"] == {"'self'", "'unsafe-eval'"}
        assert {word[:8] for word in told["style-src"]} == {"'self'", "'sha256-"}
        assert told["img-src"] == {"'self'", "data:"}
        assert {name: told[name] for name in STRICT if name not in ("script-src", "style-src", "img-src")} == {
            name: STRICT[name] for name in STRICT if name not in ("script-src", "style-src", "img-src")
        }


@pytest.mark.parametrize(("secure", "prefix"), [("true", "__Host-"), ("false", "")])
def test_cookies_are_bound_to_the_host_behind_https(secure: str, prefix: str) -> None:
    """The settings as another process reads them."""
    import json
    import os
    import subprocess
    import sys

    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")
    same = ("SESSION_COOKIE_HTTPONLY", "CSRF_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE", "SESSION_COOKIE_PATH")
    code = (
        "import json; from django.conf import settings;"
        f"print(json.dumps([getattr(settings, name) for name in {names + same + ('SESSION_COOKIE_DOMAIN',)!r}]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"SECURE_COOKIES": secure}, capture_output=True, check=True
    )

    on = secure == "true"
    expected = [f"{prefix}session", f"{prefix}csrf", on, on, True, True, "Lax", "/", None]
    assert json.loads(told.stdout) == expected
