"""Requests of the test client through the fast lane, as the web server would send them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test.client import Client, ClientHandler

from accounts.api.fastlane import FastLane
from ops.access.checks import KeyChecks
from ops.access.share import Share


class Lane(ClientHandler):
    """Django's handler for tests, behind the lane; `taken` counts the requests that the lane answered itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken = 0

    def __call__(self, environ: dict[str, Any]) -> Any:
        with ThreadPoolExecutor(1) as threads:
            lane = FastLane(threads, KeyChecks())
            answer = asyncio.run(lane.answer(environ, Share(1)))
            lane.counted.write()
        if answer is None:
            return super().__call__(environ)
        self.taken += 1
        response = HttpResponse(answer.body, status=answer.status)
        del response.headers["Content-Type"]
        for name, value in answer.headers:
            assert name not in response.headers, f"{name} is there twice"
            response.headers[name] = value
        response.wsgi_request = WSGIRequest(environ)  # type: ignore[attr-defined]
        return response


class LaneClient(Client):
    """A test client whose requests pass the lane."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"HTTP_HOST": "testserver"} | kwargs)
        self.handler = self.lane = Lane(self.handler.enforce_csrf_checks)
