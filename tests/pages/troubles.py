"""Real troubles, planted for somebody at a browser to find."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import UUID

import psycopg
from django.db import connection, connections

from accounts.drills.poison import WRONG_ROW
from accounts.models import Account
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.conf import get_settings
from tests.bank import Bank


def poison(bank: Bank, account: UUID, *amounts: str) -> None:
    """A wrong row stands in the way of the account's next deposit; the others wait behind it."""
    version = Account.objects.get(pk=account).version
    with connection.cursor() as cursor:
        cursor.execute(WRONG_ROW, (-1, account, version + 1))
    for amount in amounts:
        bank.deposit(account, amount)
    catch_up(registered())


@contextmanager
def a_session_that_holds(stream: UUID) -> Iterator[psycopg.Connection]:
    """A process of the bank that locked a stream and does not go on."""
    url = get_settings().database_url.get_secret_value()
    with closing(psycopg.connect(url, application_name="bankes:worker")) as holder:
        holder.execute("SELECT version FROM lock_streams(ARRAY[%s])", (stream,))
        yield holder


class PatientDeposit:
    """A command that waits for the stream as long as it has to."""

    def __init__(self, bank: Bank, account: UUID) -> None:
        self.bank, self.account = bank, account
        self.thread = threading.Thread(target=self._deposit)
        self.thread.start()

    def _deposit(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = 0")
            self.bank.deposit(self.account, "7.00")
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
        finally:
            connections.close_all()
