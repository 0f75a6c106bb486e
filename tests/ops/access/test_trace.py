"""The ids that tie a request to its logs, events and answer."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from ops.access.trace import TraceMiddleware, correlation_id, request_id, traceparent

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def settled(**headers: str) -> tuple[str, str, str, str]:
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    response = TraceMiddleware(view)(RequestFactory().get("/", headers=headers))
    return response["X-Request-ID"], request_id(seen[0]), correlation_id(seen[0]), traceparent(seen[0])


def test_plain_ids_are_kept_and_echoed() -> None:
    assert settled(x_request_id="r-1", x_correlation_id="c/2", traceparent=PARENT) == ("r-1", "r-1", "c/2", PARENT)


def test_without_ids_the_request_gets_one_and_correlates_with_itself() -> None:
    echoed, request, correlation, parent = settled()

    assert echoed == request == correlation
    assert len(request) == 36
    assert parent == ""
    assert settled()[0] != echoed


@pytest.mark.parametrize("wrong", ["a b", "x" * 61, "a\nb", "é", "<x>", '"', "\x00", "{}"])
def test_ids_that_could_do_harm_in_a_log_are_replaced(wrong: str) -> None:
    echoed, _, correlation, _ = settled(x_request_id=wrong, x_correlation_id=wrong)

    assert len(echoed) == 36
    assert correlation == echoed


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        PARENT + "-extra",
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
    ],
)
def test_a_malformed_traceparent_is_dropped(wrong: str) -> None:
    assert settled(traceparent=wrong)[3] == ""
