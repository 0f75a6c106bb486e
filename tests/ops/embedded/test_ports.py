"""Which ports are used, and what is said when the web port cannot be."""

import socket

import pytest

from ops.embedded.errors import Refusal
from ops.embedded.ports import check_web_port, is_free, kept_or_free, web_address


@pytest.fixture
def busy_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_busy_web_port_is_named_together_with_what_to_say_instead(busy_port: int):
    with pytest.raises(Refusal) as refusal:
        check_web_port("127.0.0.1", busy_port)
    assert str(refusal.value) == (
        f"Port {busy_port} is used by another program: stop it, or say `PORT={busy_port + 1} make run`."
    )


def test_a_free_web_port_is_fine(busy_port: int):
    check_web_port("127.0.0.1", kept_or_free(None, busy_port))


def test_the_port_of_the_last_start_is_kept_while_it_is_free(busy_port: int):
    free = kept_or_free(None)
    assert kept_or_free(free) == free
    assert kept_or_free(busy_port) != busy_port
    assert kept_or_free(free, free) != free


def test_a_port_with_a_listener_is_not_free(busy_port: int):
    assert not is_free(busy_port)


def test_the_bank_listens_on_this_machine_alone_unless_told_otherwise():
    assert web_address({}) == ("127.0.0.1", 3000)
    assert web_address({"HOST": "::1", "PORT": "8080"}) == ("::1", 8080)
    assert web_address({"HOST": "localhost", "PORT": ""}) == ("127.0.0.1", 3000)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "3000.0", "３０００"])
def test_a_port_that_is_none_is_refused(port: str):
    with pytest.raises(Refusal, match="must be a number from 1 to 65535"):
        web_address({"PORT": port})


def test_a_host_name_that_a_shell_exported_does_not_open_the_bank_to_the_network():
    with pytest.raises(Refusal, match="HOST is 'workstation' and must be an address"):
        web_address({"HOST": "workstation"})
