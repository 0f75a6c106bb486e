"""The lag tells the truth: of a relay that is gone, of a consumer that is gone, and of nothing to do."""

from eventstore.kafka.lag import lag
from eventstore.kafka.lease import LEASE_SECONDS
from tests.bank import Bank
from tests.kafka import Kafka, is_applied, is_relayed, wait_for


def test_lag_is_nothing_when_all_is_applied_and_grows_when_somebody_dies(kafka: Kafka, bank: Bank) -> None:
    account = bank.open("1.00")
    relay, consumers = kafka.relay(), kafka.consumers()
    wait_for(is_applied)
    wait_for(lambda: lag().relay_behind == 0)
    assert lag().relay_alive
    assert lag().furthest_behind == 0

    consumers.kill()
    bank.deposit(account, "1.00")
    wait_for(is_relayed)
    wait_for(lambda: lag().furthest_behind > 0)
    assert lag().relay_behind == 0

    relay.kill()
    bank.deposit(account, "1.00")
    assert lag().relay_behind > 0
    wait_for(lambda: not lag().relay_alive, LEASE_SECONDS + 2)
