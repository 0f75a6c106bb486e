"""A private Apache Kafka on the loopback interface: one node, KRaft, Java 17, a password, data below one directory.

Its jars are resolved by Maven from `deploy/kafka/pom.xml` once for a checkout, and used only when each of them has
the SHA-256 written down in `deploy/kafka/jars.sha256`.
"""

import hashlib
import logging
import os
import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.embedded.errors import Refusal
from ops.embedded.layout import ROOT, VAR, check_space, make_directory, turn, write_private
from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import ChildSpec

OLDEST_JAVA = 17
PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
"""What Debian calls that which brings each program."""
POM = ROOT / "deploy" / "kafka" / "pom.xml"
HASHES = POM.with_name("jars.sha256")
JARS = VAR / "kafka-jars"
USER = "bankes"
STOP_BY = 13.0
READY_WITHIN = 90.0
"""Seconds; after a crash the broker first reads its log files."""
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
JAVA_VERSION = re.compile(r'version "(\d+)')

_SILENT = logging.getLogger("ops.embedded.kafka.probe")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
"""While the broker starts, the client's complaints are of no interest."""

CONFIGURATION = """\
# Written by the launcher at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config={sign_in}
listener.name.controller.plain.sasl.jaas.config={sign_in}
log.dirs={directory}/data
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
controlled.shutdown.enable=true
num.network.threads=2
num.io.threads=4
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
"""

LOGGING = """\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""


@dataclass(frozen=True, repr=False)
class Address:
    """How clients reach the broker."""

    bootstrap_servers: str
    password: str

    def settings(self) -> dict[str, str]:
        """As environment variables of the bank."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": self.password,
        }


def missing(environment: Mapping[str, str]) -> list[str]:
    """Names of the packages without which no broker can be started here; empty when all is there."""
    path = environment.get("PATH", os.defpath)
    lacking = [package for program, package in PACKAGES.items() if not shutil.which(program, path=path)]
    if PACKAGES["java"] not in lacking and _java_major(environment) < OLDEST_JAVA:
        lacking.append(PACKAGES["java"])
    if _jars_are_complete():
        lacking = [package for package in lacking if package != PACKAGES["mvn"]]
    return sorted(lacking)


def ensure_jars(environment: Mapping[str, str]) -> None:
    """Have the broker's jars, resolved by Maven when they are not there yet.

    Raises:
        Refusal: Maven could not get them, or got others than were written down.
    """
    if _jars_are_complete():
        return
    with turn("kafka"):
        if _jars_are_complete():
            return
        check_space(ROOT, "Apache Kafka")
        print("Resolving Apache Kafka with Maven (once; may take a minute) ...", flush=True)
        fresh = JARS.with_name(f"{JARS.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        resolve_jars(fresh, environment)
        wrong = _wrong_jars(fresh)
        if wrong:
            raise Refusal(
                f"Maven brought a {wrong[0]} that is not the one in deploy/kafka/jars.sha256: nothing of it is used."
            )
        shutil.rmtree(JARS, ignore_errors=True)
        fresh.rename(JARS)


def resolve_jars(directory: Path, environment: Mapping[str, str]) -> None:
    """Raises Refusal with Maven's own last lines when it fails."""
    maven = ["mvn", "-B", "-q", "--strict-checksums", "-f", str(POM), "dependency:copy-dependencies"]
    result = subprocess.run(
        [*maven, "-DincludeScope=runtime", f"-DoutputDirectory={directory}"],
        env=dict(environment),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        raise Refusal(
            "Maven could not resolve Apache Kafka: see that it can reach its repository, or say "
            "`KAFKA_ENABLED=false make run` to do without.",
            result.stdout.splitlines()[-10:],
        )


class Broker:
    """A broker with its files in `directory`."""

    def __init__(
        self, directory: Path, ports: tuple[int, int], password: str, environment: Mapping[str, str]
    ) -> None:
        """`ports` are those of clients and of the controller."""
        self.directory = directory
        self.address = Address(f"{LOOPBACK}:{ports[0]}", password)
        self._ports = ports
        self._environment = dict(environment)

    def spec(self) -> ChildSpec:
        """How to run it; its configuration is written, and its storage formatted, when that was not done yet.

        Raises:
            Refusal: the storage could not be formatted. And what `ensure_jars` raises.
        """
        ensure_jars(self._environment)
        self._write_configuration()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()
        return ChildSpec(
            "kafka",
            self._java("kafka.Kafka", "server.properties"),
            self._environment,
            STOP_BY,
            directory=self.directory,
        )

    def answers(self) -> bool:
        """Whether the broker lists its topics."""
        settings = self.address.settings()
        client = AdminClient(
            {
                "bootstrap.servers": settings["KAFKA_BOOTSTRAP_SERVERS"],
                "security.protocol": settings["KAFKA_SECURITY_PROTOCOL"],
                "sasl.mechanism": settings["KAFKA_SASL_MECHANISM"],
                "sasl.username": USER,
                "sasl.password": self.address.password,
            },
            logger=_SILENT,
        )
        try:
            client.list_topics(timeout=2)
        except KafkaException:
            return False
        return True

    def _write_configuration(self) -> None:
        make_directory(self.directory)
        write_private(self.directory / "log4j2.properties", LOGGING)
        sign_in = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{USER}" password="{self.address.password}" user_{USER}="{self.address.password}";'
        )
        port, controller_port = self._ports
        configuration = CONFIGURATION.format(
            host=LOOPBACK, port=port, controller_port=controller_port, sign_in=sign_in, directory=self.directory
        )
        write_private(self.directory / "server.properties", configuration)

    def _format(self) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = self._java(
            "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", "server.properties"
        )
        result = subprocess.run(
            tool,
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode:
            lines = (result.stdout + result.stderr).splitlines()
            raise Refusal("Kafka could not make its files; what it said stands above.", lines[-10:])

    def _java(self, *arguments: str) -> list[str]:
        java = shutil.which("java", path=self._environment.get("PATH", os.defpath)) or "java"
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        return [java, *JAVA_OPTIONS, logging, "-cp", f"{JARS}/*", *arguments]


def _jars_are_complete() -> bool:
    """By name only: what was once compared by hash is not read again at each start."""
    return JARS.is_dir() and set(_written_down()) == {jar.name for jar in JARS.glob("*.jar")}


def _wrong_jars(directory: Path) -> list[str]:
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in directory.glob("*.jar")}
    wanted = _written_down()
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def _written_down() -> dict[str, str]:
    pairs = (line.split() for line in HASHES.read_text(encoding="ascii").splitlines())
    return {name: digest for digest, name in pairs}


def _java_major(environment: Mapping[str, str]) -> int:
    try:
        said = subprocess.run(
            ["java", "-version"], env=dict(environment), capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = JAVA_VERSION.search(said.stderr + said.stdout)
    return int(number[1]) if number else 0
