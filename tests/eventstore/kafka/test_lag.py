"""The lag tells the truth: of a relay that is gone, of a consumer that is gone, and of nothing to do."""

from eventstore.kafka.lag import lag
from eventstore.kafka.lease import LEASE_SECONDS
from tests.bank import Bank
from tests.kafka import Kafka, is_applied, is_relayed, wait_for


def relay_is_behind() -> bool:
    now = lag()
    return now.relayed < now.mark


def anyone_is_behind() -> bool:
    return any(shard.behind for shard in lag().shards)


def test_lag_is_nothing_when_all_is_applied_and_grows_when_somebody_dies(kafka: Kafka, bank: Bank) -> None:
    account = bank.open("1.00")
    relay, consumers = kafka.relay(), kafka.consumers()
    wait_for(is_applied)
    wait_for(lambda: not relay_is_behind())
    assert lag().relay_alive
    assert not anyone_is_behind()

    consumers.kill()
    bank.deposit(account, "1.00")
    wait_for(is_relayed)
    wait_for(anyone_is_behind)
    assert not relay_is_behind()

    relay.kill()
    bank.deposit(account, "1.00")
    assert relay_is_behind()
    wait_for(lambda: not lag().relay_alive, LEASE_SECONDS + 2)
