"""The launcher's Kafka: what it needs, whom it lets in, and what the bank does without it."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.embedded import kafka
from ops.embedded.bank import _wants_own_kafka, bank_children
from ops.embedded.errors import Refusal
from tests.kafka import RunningBroker, require_kafka

from .conftest import ReadableLog

NO_PROGRAMS = {"PATH": "/nonexistent"}


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningBroker, Path]]:
    require_kafka()
    directory = tmp_path_factory.mktemp("launcher") / "broker"
    running = RunningBroker(directory)
    running.start()
    yield running, directory
    running.stop()


def test_what_is_missing_is_named_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "JARS", tmp_path / "none")
    assert kafka.missing(NO_PROGRAMS) == ["maven", "openjdk-17-jre-headless"]


def test_maven_is_not_needed_once_the_jars_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_jars_are_complete", lambda: True)
    assert kafka.missing(NO_PROGRAMS) == ["openjdk-17-jre-headless"]


def test_a_jar_that_is_not_the_one_written_down_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(directory: Path, _environment: object) -> None:
        directory.mkdir()
        for name in kafka._written_down():
            (directory / name).write_bytes(b"something else")

    monkeypatch.setattr(kafka, "JARS", tmp_path / "jars")
    monkeypatch.setattr(kafka, "resolve_jars", resolve)
    with pytest.raises(Refusal, match=r"jars\.sha256"):
        kafka.ensure_jars(dict(os.environ))
    assert not (tmp_path / "jars").exists()


def test_without_java_the_bank_says_so_and_follows_the_feed(log: ReadableLog) -> None:
    assert not _wants_own_kafka(NO_PROGRAMS, log)
    assert "openjdk-17-jre-headless" in log.lines()[-1]
    assert "KAFKA_ENABLED=false" in log.lines()[-1]
    names = {child.name for child in bank_children({"KAFKA_ENABLED": "false"})}
    assert "projector" in names
    assert not names & {"relay", "consumers"}


def test_with_kafka_relay_and_consumers_take_the_projectors_place() -> None:
    names = {child.name for child in bank_children({"KAFKA_ENABLED": "true"})}
    assert names >= {"relay", "consumers"}
    assert "projector" not in names


def test_kafka_can_be_declined(log: ReadableLog) -> None:
    assert not _wants_own_kafka(dict(os.environ) | {"KAFKA_ENABLED": "false"}, log)
    assert "as asked" in log.lines()[-1]


def test_only_the_password_opens_the_broker(own_broker: tuple[RunningBroker, Path]) -> None:
    settings = own_broker[0].settings
    sign_in = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": kafka.USER}
    for wrong in ({}, sign_in | {"sasl.password": "wrong"}):
        stranger = AdminClient(
            {"bootstrap.servers": settings["KAFKA_BOOTSTRAP_SERVERS"], **wrong}, logger=kafka._SILENT
        )
        with pytest.raises(KafkaException):
            stranger.list_topics(timeout=3)


def test_its_files_are_its_owners_alone(own_broker: tuple[RunningBroker, Path]) -> None:
    directory = own_broker[1]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "server.properties").stat().st_mode) == 0o600


def test_it_starts_again_on_its_files_after_it_was_killed(own_broker: tuple[RunningBroker, Path]) -> None:
    running, directory = own_broker
    before = (directory / "data" / "meta.properties").read_text(encoding="ascii")
    running.kill()
    running.start()
    assert (directory / "data" / "meta.properties").read_text(encoding="ascii").splitlines()[1:] == (
        before.splitlines()[1:]
    )
    running.signal(signal.SIGTERM)
    assert running.wait(15) in (0, 143)
    running.start()
