"""Holds that nobody gives up are noticed."""

from datetime import timedelta

from django.core.management import call_command

from tests.bank import Bank
from tests.ops.operators import Operator


def test_holds_past_their_time_degrade_the_bank_until_they_are_given_up(operator: Operator, bank: Bank) -> None:
    ann = bank.open("100.00")
    bank.hold(ann, "1.00")
    assert operator.component("holds")["reason"] == "no hold is left behind"
    bank.overdue_hold(ann, "2.00", since=timedelta(minutes=9))
    assert operator.component("holds")["status"] == "healthy"

    bank.overdue_hold(ann, "3.00", since=timedelta(minutes=11))
    left = operator.component("holds")
    call_command("expire_holds")

    assert (left["status"], left["values"]["overdue"], left["thresholds"][0]["value"]) == (
        "degraded",
        2,
        "overdue_seconds",
    )
    assert left["values"]["overdue_seconds"] > 600
    assert operator.component("holds")["values"] == {"overdue": 0, "overdue_seconds": 0}
