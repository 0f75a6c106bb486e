# mypy: ignore-errors
"""eventsourcing: two aggregates saved together on the PostgreSQL recorder; lost races are retried."""

import json
import os
import random
import sys
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError
from spread import Work, measure

ACCOUNTS, OPENING = 1000, 100_000_000
TRIES = 100
IDS = [uuid5(NAMESPACE_URL, f"/accounts/{number}") for number in range(ACCOUNTS)]


class Account(Aggregate):
    def __init__(self, number: int) -> None:
        self.number = number
        self.balance = OPENING

    @staticmethod
    def create_id(number: int) -> UUID:
        return IDS[number]

    @event("Moved")
    def move(self, amount: int) -> None:
        if self.balance + amount < 0:
            raise ValueError("insufficient funds")
        self.balance += amount


class Bank(Application):
    def transfer(self, source_id: UUID, target_id: UUID, amount: int) -> None:
        for _ in range(TRIES):
            source, target = self.repository.get(source_id), self.repository.get(target_id)
            source.move(-amount)
            target.move(amount)
            try:
                self.save(source, target)
                return
            except IntegrityError:
                continue
        raise RuntimeError(f"lost {TRIES} races in a row")


def bank() -> Bank:
    return Bank(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "CREATE_TABLE": str(sys.argv[1] == "prepare"),  # processes that create at once get in each other's way
            "POSTGRES_DBNAME": os.environ["PGDATABASE"],
            "POSTGRES_HOST": os.environ["PGHOST"],
            "POSTGRES_PORT": os.environ["PGPORT"],
            "POSTGRES_USER": os.environ["PGUSER"],
            "POSTGRES_PASSWORD": os.environ["PGPASSWORD"],
        }
    )


def connect() -> Work:
    application = bank()

    def transfer() -> None:
        application.transfer(*random.sample(IDS, 2), 1)

    return transfer


def main() -> None:
    application = bank()
    if sys.argv[1] == "prepare":
        for number in range(ACCOUNTS):
            application.save(Account(number))
        return
    result = measure(connect, int(sys.argv[2]), float(sys.argv[3]))
    money = sum(application.repository.get(account).balance for account in IDS)
    print(json.dumps(result | {"wrong": [] if money == ACCOUNTS * OPENING else [f"the money is {money}"]}))


if __name__ == "__main__":
    main()
