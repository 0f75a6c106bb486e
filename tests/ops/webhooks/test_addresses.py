"""A client cannot make the bank connect to its own machine or network."""

import socket
from ipaddress import ip_address

import pytest

from ops.webhooks.addresses import AddressRefused, is_public, parse, resolve
from tests.ops.webhooks.conftest import Configure

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.255.255.254 169.254.0.1
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b:1::1 100::1
2001::1 2001:db8::1 2002:7f00:1::1 2002:a00:1:: fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1
"""
DISGUISED = """
127.1 127.0.1 0x7f000001 0x7F.1 2130706433 017700000001 0177.0.0.1 0 10.1 127.0.0.1. 127.0.0.01 1.2.3.4.5 0x
[::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [::1%25eth0] [fe80::1%25lo]
localhost LOCALHOST localhost. api.localhost printer.local db.internal intranet router metadata
"""
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "2606:4700::1111"]


def host_of(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"public Internet|no address of one machine"):
        parse(f"https://{host_of(address)}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_taken(address: str) -> None:
    assert is_public(ip_address(address))
    assert parse(f"https://{host_of(address)}/hook").host == address


def test_a_public_address_may_be_written_as_one_of_ipv6() -> None:
    assert parse("https://[::ffff:1.1.1.1]/hook").host == "::ffff:1.1.1.1"


@pytest.mark.parametrize(
    "host",
    DISGUISED.split(),
)
def test_other_ways_to_write_a_private_address_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        parse(f"https://{host}/hook")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "must begin with https"),
        ("ftp://example.com/", "must begin with https"),
        ("file:///etc/passwd", "must begin with https"),
        ("//example.com/", "must begin with https"),
        ("https:///path", "names no host"),
        ("https://", "names no host"),
        ("https://user@example.com/", "user name"),
        ("https://user:pw@example.com/", "user name"),
        ("https://:@example.com/", "user name"),
        ("https://example.com/#x", "fragment"),
        ("https://example.com:22/", "Port 22 is not permitted"),
        ("https://example.com:0/", "Port 0 is not permitted"),
        ("https://example.com:65536/", "not a URL"),
        ("https://example.com:x/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://exa mple.com/", "visible ASCII"),
        ("https://example.com/\r\nHost: evil", "visible ASCII"),
        ("https://example.com\\@127.0.0.1/", "visible ASCII"),
        ("https://bücher.example/", "visible ASCII"),
        ("https://example.com/" + "x" * 2000, "visible ASCII"),
        ("https://-example.com/", "names no host"),
        ("https://exam_ple..com/", "names no host"),
        ("https://example.com%2f@127.0.0.1/", "user name"),
    ],
)
def test_a_url_that_is_not_plain_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        parse(url)


def test_what_is_left_of_a_url_is_what_is_sent(configure: Configure) -> None:
    target = parse("https://Hooks.Example.com:8443/a/b?c=d&e=%20")

    assert (target.secure, target.host, target.port, target.path) == (
        True,
        "hooks.example.com",
        8443,
        "/a/b?c=d&e=%20",
    )


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["1.1.1.1", "192.168.0.1"]],
)
def test_a_name_that_resolves_to_a_private_address_is_refused_when_it_is_sent_to(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(AddressRefused, match="public Internet"):
        resolve(parse("https://rebinding.example.com/"))


def test_the_resolver_of_this_machine_is_not_believed_either(configure: Configure) -> None:
    """The name is permitted here, as a client may have had it written in another way; what it leads to is not."""
    configure(WEBHOOK_ALLOW_PRIVATE_ADDRESSES="true")
    target = parse("https://localhost/")
    configure(WEBHOOK_ALLOW_PRIVATE_ADDRESSES="false")

    with pytest.raises(AddressRefused, match="public Internet"):
        resolve(target)


def test_a_setting_permits_private_networks_but_never_multicast(configure: Configure) -> None:
    configure(WEBHOOK_ALLOW_PRIVATE_ADDRESSES="true", WEBHOOK_ALLOW_HTTP="true", WEBHOOK_ALLOWED_PORTS="80, 9000")

    for url in ("http://127.0.0.1/", "http://localhost/", "https://10.0.0.1:9000/", "http://[::1]:9000/"):
        parse(url)
    one_of_many = ["http://224.0.0.1/", "http://0.0.0.0/", "http://[ff02::1]/", "http://[::ffff:224.0.0.1]/"]
    for url in (*one_of_many, "https://10.0.0.1/"):
        with pytest.raises(AddressRefused):
            parse(url)
