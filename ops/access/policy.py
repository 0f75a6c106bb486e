"""What browsers are told to refuse: headers on every answer, and what the admin's pages need beyond them."""

from collections.abc import Callable
from functools import cached_property

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in (
            "accelerometer",
            "autoplay",
            "camera",
            "display-capture",
            "encrypted-media",
            "fullscreen",
            "geolocation",
            "gyroscope",
            "hid",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
            "publickey-credentials-get",
            "screen-wake-lock",
            "serial",
            "usb",
            "xr-spatial-tracking",
        )
    ),
    "X-Permitted-Cross-Domain-Policies": "none",
}
"""Beside those of Django's SecurityMiddleware (nosniff, HSTS, COOP, referrer) and of django-csp."""


class HeadersMiddleware:
    """Stands first, so that static files and refusals carry the headers too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class PolicyMiddleware(CSPMiddleware):
    """django-csp's, which makes its header anew for each answer. That of answers that are no pages, and so have no
    nonce, is always the same: it is asked for once."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, self._without_nonce)
        return response

    @cached_property
    def _without_nonce(self) -> str:
        return str(super().process_response(HttpRequest(), HttpResponse()).headers[HEADER])


ADMIN_POLICY = {
    "script-src": ["'unsafe-eval'"],
    "style-src": [
        "'sha256-CftXQ/6rIQ3AMOrJUsQzoK+KGLgk4scJJlfXyvE/1mQ='",
        "'sha256-bsV5JivYxvGywDAZ22EZJKBFip65Ng9xoJVLbBg7bdo='",
    ],
    "img-src": ["data:"],
}
"""Added to the policy of the admin's pages, for its theme: Alpine.js evaluates the expressions in its attributes
('unsafe-eval'), two inline <style> elements are let in by their hashes (the theme's colours and what htmx adds), and
its style sheet draws the arrows of selects from data: images. No inline script runs, and no style attribute counts.
An update of the theme that changes one of them shows in the page tests, which fail on any violation.

Alpine's CSP build would do without 'unsafe-eval', but knows no globals (theme(), localStorage) and no two statements
in one attribute. The theme's frame, on every page, uses both: its templates would have to be copied and kept in step.
There is no endpoint for reports of violations: anybody could fill the log through it."""


def admin_policy(response: HttpResponse) -> HttpResponse:
    response._csp_update = ADMIN_POLICY  # type: ignore[attr-defined]
    return response
