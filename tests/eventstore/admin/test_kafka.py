"""The page of Kafka: off, out of reach, hanging, and with a real broker, a relay and consumers."""

import re
import socket
import time
from collections.abc import Iterator

import pytest
from django.test import Client

from eventstore.admin import kafka as page
from eventstore.kafka.cluster import Looker
from eventstore.kafka.lag import lag
from ops.conf import get_settings
from tests.bank import Bank
from tests.kafka import Kafka, broker, kafka  # noqa: F401  # fixtures
from tests.ops.admin.dialog import page_text
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

PAGE = "/admin/eventstore/kafkaaccess/"


@pytest.fixture
def auditor(bank: Bank) -> Client:
    return signed_in(make_staff("auditor"))


@pytest.fixture(autouse=True)
def own_looker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "looker", Looker())


@pytest.fixture
def brokers_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Sets what leads to the brokers, and forgets it afterwards."""
    with monkeypatch.context() as patch:
        patch.setattr(page, "WAIT", 0.4)
        patch.setenv("KAFKA_ENABLED", "true")
        patch.setenv("KAFKA_OPERATION_TIMEOUT", "1")
        yield patch
    get_settings.cache_clear()


def set_brokers(patch: pytest.MonkeyPatch, port: int) -> None:
    patch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}")
    patch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    get_settings.cache_clear()


def cells(text: str, table: str) -> list[list[str]]:
    """The body of a table, by the label of its section."""
    body = text.split(f'aria-label="{table}"')[1].split("</section>")[0].split("<tbody>")[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in rows
    ]


def test_where_kafka_is_off_it_says_so_and_how_to_turn_it_on(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "looker", None)  # nobody is asked
    monkeypatch.setenv("KAFKA_ENABLED", "false")
    get_settings.cache_clear()
    text = page_text(auditor.get(PAGE))
    monkeypatch.undo()
    get_settings.cache_clear()

    assert "Kafka is off" in text
    assert "KAFKA_ENABLED=true" in text
    assert "data-state-url" not in text, "there is nothing to refresh"


def test_brokers_that_refuse_are_named_with_the_error(auditor: Client, brokers_at: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    set_brokers(brokers_at, port)

    wait_until(lambda: f"Kafka cannot be reached (127.0.0.1:{port})" in page_text(auditor.get(PAGE)))


def test_while_the_brokers_hang_the_page_opens_all_the_same(auditor: Client, brokers_at: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        brokers_at.setenv("KAFKA_OPERATION_TIMEOUT", "5")
        set_brokers(brokers_at, silent.getsockname()[1])
        began = time.monotonic()
        answer = auditor.get(PAGE)
        took = time.monotonic() - began

        assert took < 4.0, "the brokers get longer than that"
        assert "have not answered for 0 s" in page_text(answer)
        assert "no relay has ever run" in page_text(answer), "what PostgreSQL knows is shown"
        live = auditor.get(f"{PAGE}state/").json()
        assert live["ended"] is False
        assert "have not answered" in live["live"] or "cannot be reached" in live["live"]
        wait_until(lambda: "cannot be reached" in page_text(auditor.get(PAGE)))


def test_a_real_broker_with_relay_and_consumers(
    bank: Bank,
    kafka: Kafka,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_ENABLED", "true")
    get_settings.cache_clear()
    settings = get_settings()
    auditor = signed_in(make_staff("auditor"))
    wait_until(lambda: f"The topic {settings.kafka_topic} is not there" in page_text(auditor.get(PAGE)))

    ann = bank.open("10.00")
    kafka.relay()
    consumers = kafka.consumers()
    wait_until(lambda: 0 < (now := lag()).relayed >= now.mark and not any(shard.behind for shard in now.shards), 40)
    every = f"0–{settings.shard_count - 1}"
    wait_until(lambda: any(row[3] == every for row in cells(page_text(auditor.get(PAGE)), "Members")), 20)
    wait_until(lambda: cells(page_text(auditor.get(PAGE)), "Consumer groups")[0][4] == "0", 20)

    text = page_text(auditor.get(PAGE))
    [group] = cells(text, "Consumer groups")
    assert group == [settings.kafka_group_id, "the read models", "stable", "1", "0", "–"]
    [[member, _, address, *_]] = cells(text, "Members")
    assert re.fullmatch(r"bankes-consumer-.+-\d+", member), "which process it is"
    assert address == "127.0.0.1"
    shards = cells(text, "Shards")
    assert [row[0] for row in shards] == [str(number) for number in range(settings.shard_count)]
    assert {row[2] for row in shards} == {"1 of 1"}
    assert sum(int(row[4]) - int(row[3]) for row in shards) == 2, "two events were sent"
    assert {(row[7], row[8]) for row in shards} == {("0", member)}
    assert [row[0] for row in cells(text, "Topics")] == [settings.kafka_topic, settings.kafka_dead_letter_topic]
    assert cells(text, "Brokers")[0][2] == "yes"

    consumers.stop()
    bank.deposit(ann, "1.00")
    wait_until(lambda: (now := lag()).relayed >= now.mark)
    wait_until(lambda: cells(page_text(auditor.get(PAGE)), "Consumer groups")[0][4] == "1", 20)
    text = page_text(auditor.get(PAGE))
    assert cells(text, "Consumer groups")[0][5] == every, "nobody holds them"
    assert "No consumer is in the group" in text
    [behind] = [row for row in cells(text, "Shards") if row[7] == "1"]
    assert behind[8] == "nobody"

    monkeypatch.setenv("KAFKA_OPERATION_TIMEOUT", "1")
    set_brokers(monkeypatch, 1)
    wait_until(lambda: "Kafka cannot be reached (127.0.0.1:1)" in page_text(auditor.get(PAGE)))
    text = page_text(auditor.get(PAGE))
    assert re.search(r"Below is what they told \d+ s ago", text)
    assert cells(text, "Consumer groups")[0][4] == "1", "what was known before"


@pytest.mark.parametrize("role", ["viewer", "teller"])
def test_others_do_not_see_the_page(db: None, role: str) -> None:
    staff = signed_in(make_staff(role))
    assert [staff.get(url).status_code for url in (PAGE, f"{PAGE}state/")] == [403, 403]


def test_the_page_takes_no_orders(auditor: Client) -> None:
    assert [auditor.post(url).status_code for url in (PAGE, f"{PAGE}state/")] == [405, 405]
