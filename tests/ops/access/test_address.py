"""The caller's address: what our own proxies say counts, what a caller says does not."""

import pytest
from django.test import RequestFactory

from ops.access import address
from ops.conf import get_settings


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "6.6.6.6", "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        (2, "6.6.6.6, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "203.0.113.7", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "not an address", "10.0.0.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "6.6.6.6\x00", "10.0.0.1"),
    ],
)
def test_only_what_trusted_proxies_appended_counts(
    monkeypatch: pytest.MonkeyPatch, proxies: int, forwarded: str, expected: str
) -> None:
    monkeypatch.setattr(
        address, "get_settings", lambda: get_settings().model_copy(update={"trusted_proxies": proxies})
    )
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)

    assert address.client_address(request) == expected


def test_a_unix_socket_has_no_address() -> None:
    assert address.client_address(RequestFactory().get("/", REMOTE_ADDR="")) == ""
