"""Requests of the test client through the fast lane, as the web server would send them."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test.client import Client, ClientHandler

from accounts.api.fastlane import FastLane


class Lane(ClientHandler):
    """Django's handler for tests, behind the lane; `taken` counts the requests that the lane answered itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken = 0

    def __call__(self, environ: dict[str, Any]) -> Any:
        passed_on: list[Any] = []

        def ordinary(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            passed_on.append(super(Lane, self).__call__(environ))
            return []

        told: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            told["status"], told["headers"] = int(status.split()[0]), headers

        body = b"".join(FastLane(ordinary)(environ, start_response))
        if passed_on:
            return passed_on[0]
        self.taken += 1
        response = HttpResponse(body, status=told["status"])
        del response.headers["Content-Type"]
        for name, value in told["headers"]:
            assert name not in response.headers, f"{name} is there twice"
            response.headers[name] = value
        response.wsgi_request = WSGIRequest(environ)  # type: ignore[attr-defined]
        return response


class LaneClient(Client):
    """A test client whose requests pass the lane."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"HTTP_HOST": "testserver"} | kwargs)
        self.handler = self.lane = Lane(self.handler.enforce_csrf_checks)
