"""Customers of a drill: API clients with accounts of their own, who know what the bank acknowledged to them."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.api.scopes import ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from accounts.models import Account
from accounts.verification import verify
from eventstore.models import Event
from ops.access.keys import issue_key, revoke_key
from ops.drills.http import Answer, BankOverHttp
from ops.drills.registry import CannotDrill, Customers
from ops.drills.running import repeating
from ops.models import ApiClient

CLIENT = "drill"
KEY_LASTS = timedelta(hours=2)
CURRENCY = "EUR"
PAUSE = 1.0
"""Seconds between two deposits of the everyday traffic."""
ASKED_AGAIN_FOR = 60.0
"""Seconds in which the outcome of each command must be had."""


@dataclass(slots=True)
class Sent:
    """One command. `transaction`: what the bank acknowledged it as."""

    path: str
    body: dict[str, Any]
    key: str
    transaction: str = ""
    refused: str = ""


def deposit(customers: Customers, account: str) -> bool:
    return customers.send(f"/accounts/{account}/deposits", {"amount": "1.00", "currency": CURRENCY})


def transfer(customers: Customers, source: str, target: str) -> bool:
    body = {"target_account_id": target, "amount": "0.01", "currency": CURRENCY}
    return customers.send(f"/accounts/{source}/transfers", body)


class ApiCustomers:
    """Safe to share between threads."""

    def __init__(self, bank: BankOverHttp, token: str) -> None:
        self._bank = bank
        self._authorization = {"Authorization": f"Bearer {token}"}
        self._sent: list[Sent] = []
        self._traffic = ExitStack()
        self.accounts: list[str] = []

    @property
    def acknowledged(self) -> int:
        return sum(bool(sent.transaction) for sent in self._sent)

    def open_account(self) -> str:
        answer = self._execute(self._new("/accounts", {"owner": "A drill", "currency": CURRENCY}))
        if answer.status != 201:
            raise CannotDrill(f"the API opens no account: {answer.status} {answer.body}")
        account = str(answer.body["accounts"][0]["id"])
        self.accounts.append(account)
        return account

    def send(self, path: str, body: dict[str, Any]) -> bool:
        sent = self._new(path, body)
        self._execute(sent)
        return bool(sent.transaction)

    def begin(self) -> None:
        """Everyday traffic, until `settle` or `leave`."""
        account = self.open_account()
        self._traffic.enter_context(repeating(lambda: self._go_about(account), pause=PAUSE))

    def _go_about(self, account: str) -> None:
        """A deposit, and a look at the balance by somebody who states what they have seen."""
        deposit(self, account)
        self._bank.call(f"/api/v1/accounts/{account}/balance?min_version=1", headers=self._authorization, within=10)

    def _new(self, path: str, body: dict[str, Any]) -> Sent:
        sent = Sent(f"/api/v1{path}", body, secrets.token_hex(16))
        self._sent.append(sent)
        return sent

    def _execute(self, sent: Sent) -> Answer:
        answer = self._bank.call(sent.path, sent.body, headers=self._authorization | {"Idempotency-Key": sent.key})
        if answer.status in (200, 201):
            sent.transaction = str(answer.body["transaction_id"])
        elif 400 <= answer.status < 500 and answer.status not in (409, 429):
            sent.refused = f"refused: {answer.body}"[:200]
        return answer

    def settle(self) -> list[str]:
        self._traffic.close()
        self._ask_again()
        return [*self._unknown(), *self._missing(), *self._wrong_balances(), *verify().first_differences]

    def _ask_again(self) -> None:
        """The same key tells what became of it; what had not happened happens now."""
        deadline = time.monotonic() + ASKED_AGAIN_FOR
        while (open_ := [sent for sent in self._sent if not sent.transaction and not sent.refused]) and (
            time.monotonic() < deadline
        ):
            for sent in open_:
                self._execute(sent)

    def _unknown(self) -> list[str]:
        return [
            f"{sent.path}: {sent.refused or 'its outcome cannot be had'}"
            for sent in self._sent
            if not sent.transaction
        ]

    def _missing(self) -> list[str]:
        """Each acknowledged command stands in the books, once: two of the same key would have two ids."""
        wanted = [sent.transaction for sent in self._sent if sent.transaction]
        found = {
            str(found) for found in Event.objects.filter(command_id__in=wanted).values_list("command_id", flat=True)
        }
        doubled = len(wanted) - len(set(wanted))
        losses = [f"{one} was acknowledged and is not in the books" for one in wanted if one not in found]
        return [*losses, *([f"{doubled} commands share an id with another"] if doubled else [])]

    def _wrong_balances(self) -> list[str]:
        """What each account must hold by what was acknowledged, in minor units."""
        wanted = dict.fromkeys(self.accounts, 0)
        for sent in self._sent:
            subject, _, what = sent.path.removeprefix("/api/v1/accounts/").partition("/")
            amount = int(Decimal(sent.body.get("amount", 0)) * 100)
            if sent.transaction and what == "deposits":
                wanted[subject] += amount
            elif sent.transaction and what == "transfers":
                wanted[subject] -= amount
                wanted[str(sent.body["target_account_id"])] += amount
        held = {str(account.id): account.balance for account in Account.objects.filter(id__in=self.accounts)}
        return [
            f"account {one} holds {held.get(one)}, not {wanted[one]}"
            for one in wanted
            if held.get(one) != wanted[one]
        ]

    def leave(self) -> None:
        """Takes the money out and closes the accounts."""
        self._traffic.close()
        for account in Account.objects.filter(id__in=self.accounts):
            if account.balance:
                amount = f"{account.balance // 100}.{account.balance % 100:02d}"
                self.send(f"/accounts/{account.id}/withdrawals", {"amount": amount, "currency": CURRENCY})
            self.send(f"/accounts/{account.id}/close", {})


@contextmanager
def customers(bank: BankOverHttp) -> Iterator[ApiCustomers]:
    """A key and an account, and a deposit every second until the block is left; then the key is revoked and the
    accounts are closed. (They stay in the books, as everything does.)"""
    client, _ = ApiClient.objects.get_or_create(name=CLIENT)
    expires = timezone.now() + KEY_LASTS
    scopes = [ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE]
    key, token = issue_key(client=client, scopes=scopes, expires_at=expires, issued_by=None)
    made = ApiCustomers(bank, token)
    try:
        made.begin()
        yield made
    finally:
        try:
            made.leave()
        finally:
            revoke_key(key)
