"""An event that a read model cannot take."""

import secrets
from contextlib import ExitStack

from django.db import connection

from accounts.drills.customers import deposit
from eventstore.models import DeadLetter
from ops.conf import get_settings
from ops.drills.registry import Part

WRONG_ROW = """
    INSERT INTO transactions (position, account_id, version, transaction_id, kind, amount, currency, balance, contra,
                              description, value_date, recorded_at)
    VALUES (%s, %s, %s, gen_random_uuid(), 'Deposited', 1, 'EUR', 1, 'cash', 'wrong', current_date, now())
"""
OPENED = 1
"""Version of a new account: the next event is its second."""


class PoisonEvent(Part):
    symptom = "a wrong row in a read model makes an account's next event poison"
    remedy = "manage.py replay_events --aggregate ACCOUNT, then dead_letters retry"
    components = ("kafka", "dead_letters")

    def lacks(self) -> str | None:
        return None if get_settings().kafka_enabled else "it is about consumers of Kafka: KAFKA_ENABLED=true."

    def prepare(self) -> None:
        self._account = self.scene.customers.open_account()

    def produce(self, cleanup: ExitStack) -> None:
        self._position = -secrets.randbits(60) - 1
        with connection.cursor() as cursor:
            cursor.execute(WRONG_ROW, (self._position, self._account, OPENED + 1))
        cleanup.callback(self._mend)
        for _ in range(2):  # the second is parked behind the first
            deposit(self.scene.customers, self._account)

    def reported(self) -> str | None:
        told = self.scene.bank.component("kafka")
        letters = any(crossed["value"] == "dead_letters" for crossed in told.get("thresholds", ()))
        return str(told["reason"]) if letters and self._letters() else None

    def _letters(self) -> list[int]:
        waiting = DeadLetter.objects.filter(aggregate_id=self._account, state__in=("failed", "parked"))
        return list(waiting.order_by("id").values_list("id", flat=True))

    def cure(self) -> None:
        self.scene.manage("replay_events", "--aggregate", self._account)
        self.scene.manage("dead_letters", "retry", str(self._letters()[0]), "--by", "drill")

    def _mend(self) -> None:
        """Where the remedy did not."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM transactions WHERE position = %s", (self._position,))
        if letters := self._letters():
            self.scene.manage("dead_letters", "retry", str(letters[0]), "--by", "drill")
