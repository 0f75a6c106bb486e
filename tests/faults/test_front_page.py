"""The front page with PostgreSQL hung, and dead: it answers soon, names the culprit, and is back by itself."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.postgres_server import PostgresServer
from tests.faults.redis_server import RedisServer
from tests.installation import Answer, Installation, installed
from tests.processes import wait_until

SOMEBODY = """
from tests.staff import make_staff, signed_in
(cookie,) = signed_in(make_staff("operator")).cookies.values()
print("cookie:", f"{cookie.key}={cookie.value}")
"""
ANSWERED_WITHIN = 12.0
"""Seconds: session and user are waited for in vain, connections given up, and the machine may be busy."""
BACK_WITHIN = 40.0


@dataclass(frozen=True)
class Stage:
    """An installation with the limits of time that it has by default."""

    bank: Installation
    postgres: PostgresServer
    cookie: str

    def front_page(self) -> Answer:
        return self.bank.call("/admin/", within=60, Cookie=self.cookie)


@pytest.fixture
def stage(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    postgres = PostgresServer(tmp_path_factory.mktemp("front-page"))
    try:
        postgres.make()
        with installed(**postgres.settings(), redis_url=redis_server.url, kafka_enabled="false") as bank:
            said = bank.manage("shell", "--no-imports", "-c", SOMEBODY).stdout
            yield Stage(bank, postgres, said.rpartition("cookie: ")[2].strip())
    finally:
        postgres.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["hung", "dead"])
def test_it_says_soon_that_the_database_does_not_answer_and_is_back_by_itself(stage: Stage, how: str) -> None:
    for _ in range(16):  # by then each process of the server has had a connection: the kernel chooses which answers
        assert b"Is the bank well?" in stage.front_page().body
    hang, kill = lambda: stage.postgres.signal(signal.SIGSTOP), stage.postgres.kill
    wake, revive = lambda: stage.postgres.signal(signal.SIGCONT), stage.postgres.start

    (hang if how == "hung" else kill)()
    try:
        answers = [stage.front_page() for _ in range(8)]
    finally:
        (wake if how == "hung" else revive)()

    assert [answer.status for answer in answers] == [503] * 8
    assert all(b"The database does not answer" in answer.body for answer in answers), answers
    waited = [answer.seconds for answer in answers]
    assert max(waited) < ANSWERED_WITHIN, waited
    assert min(waited) < 1, "a process that has waited twice leaves the database alone, and nobody waits any more"
    wait_until(lambda: b"Is the bank well?" in stage.front_page().body, BACK_WITHIN, pause=0.2)
