"""Start the private PostgreSQL, Redis and Kafka below one directory, and wait until all answer."""

from dataclasses import asdict
from pathlib import Path

from ops.embedded import environment, kafka, postgres, redis
from ops.embedded.binaries import find_postgres, find_redis
from ops.embedded.environment import Addresses
from ops.embedded.layout import read_json, write_json
from ops.embedded.ports import kept_or_free
from ops.embedded.privileges import choose_account
from ops.embedded.processes import ChildSpec
from ops.embedded.secrets import Secrets
from ops.embedded.supervisor import Supervisor

DATABASE = "banking_es"
PORTS = ("postgres", "redis", "kafka", "kafka_controller")


class Servers:
    """The servers below `directory`. An address that is given is used as it is, and no such server started."""

    def __init__(self, directory: Path, secrets: Secrets, caller: dict[str, str], database: str = DATABASE) -> None:
        self._directory = directory
        self._secrets = secrets
        self._environment = environment.base(caller)
        self._database = database
        self._connections = postgres.connections_for(caller.get("POOL_MAX_CONNECTIONS", ""))
        ports = read_json(directory / "ports.json")
        chosen: dict[str, int] = {}
        for name in PORTS:
            chosen[name] = kept_or_free(ports.get(name), *chosen.values())
        self._postgres_port, self._redis_port = chosen["postgres"], chosen["redis"]
        write_json(directory / "ports.json", chosen)
        self.kafka = kafka.Broker(
            directory / "kafka", (chosen["kafka"], chosen["kafka_controller"]), secrets.kafka, self._environment
        )

    def start(
        self,
        supervisor: Supervisor,
        *,
        with_postgres: bool = True,
        with_redis: bool = True,
        with_kafka: bool = False,
    ) -> None:
        """Raises Refusal when a server cannot be started, Stopped when a signal comes meanwhile."""
        started = []
        if with_redis:
            started.append((supervisor.start(self._redis_spec()), self._redis_answers, redis.READY_WITHIN))
        if with_postgres:
            cluster = self._cluster()
            cluster.prepare(self._postgres_port, self._secrets.postgres, self._connections)
            started.append((supervisor.start(cluster.spec()), self._postgres_answers, postgres.READY_WITHIN))
        if with_kafka:
            started.append((supervisor.start(self.kafka.spec()), self.kafka.answers, kafka.READY_WITHIN))
        for child, answers, seconds in started:
            supervisor.wait_until(answers, child, seconds)
        if with_postgres:
            postgres.prepare_database(self._postgres_port, self._secrets, self._database)

    def addresses(self) -> Addresses:
        return Addresses(
            database=self._url(postgres.APPLICATION),
            database_owner=self._url(postgres.OWNER),
            redis=redis.url(self._redis_port, self._secrets.redis),
            database_superuser=self._url(postgres.SUPERUSER),
        )

    def _url(self, role: str, database: str | None = None) -> str:
        password = asdict(self._secrets)[role]
        return postgres.url(role, password, self._postgres_port, database or self._database)

    def _cluster(self) -> postgres.Cluster:
        directory = self._directory / "postgres"
        binaries = find_postgres(self._environment, postgres.data_major(directory))
        return postgres.Cluster(directory, binaries, choose_account(), self._environment)

    def _redis_spec(self) -> ChildSpec:
        directory, password = self._directory / "redis", self._secrets.redis
        return redis.spec(find_redis(self._environment), directory, self._redis_port, password, self._environment)

    def _postgres_answers(self) -> bool:
        return postgres.answers(self._url(postgres.SUPERUSER, "postgres"))

    def _redis_answers(self) -> bool:
        return redis.answers(redis.url(self._redis_port, self._secrets.redis))
