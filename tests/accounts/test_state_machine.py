"""Commands at random, against PostgreSQL and against a small oracle that keeps accounts in a dict.

After every step: the books sum to zero, balance = fold = read model = oracle, versions have no holes, and a refused
command has changed nothing.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import UNSET

from accounts.domain import commands as c
from accounts.domain.errors import ErrorCode
from accounts.domain.money import Money
from accounts.models import Account, DailyBalance, Hold, JournalLine, Transaction
from accounts.services import Executed, Outcome, Refused, execute
from eventstore import projections
from eventstore.events import new_id
from eventstore.models import Event, Stream
from eventstore.projections.runner import catch_up
from eventstore.store import load
from tests.bank import Bank

amounts = st.integers(1, 5000)
LIMITS = {"current": 10**10, "savings": 0}


@dataclass(frozen=True)
class Kept:
    """An account as the oracle keeps it."""

    currency: str
    product: str
    limit: int
    balance: int = 0
    status: str = "open"
    version: int = 1
    held: int = 0


@dataclass(frozen=True)
class Reserved:
    account: UUID
    left: int


class Oracle:
    """The rules once more, in the plainest words; shares no code with the bank."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Kept] = {}
        self.moves: dict[UUID, list[tuple[UUID, int]]] = {}
        self.reversed: set[UUID] = set()
        self.reversals: set[UUID] = set()
        self.holds: dict[UUID, Reserved] = {}

    def move(self, legs: list[tuple[UUID, int]], currency: str) -> str | None:
        after = dict(self.accounts)
        for account_id, amount in legs:
            kept = after.get(account_id)
            if kept is None:
                return "account_not_found"
            if kept.status != "open":
                return f"account_{kept.status}"
            if kept.currency != currency:
                return "currency_mismatch"
            if amount < 0 and kept.balance + kept.limit - kept.held + amount < 0:
                return "insufficient_funds"
            after[account_id] = replace(kept, balance=kept.balance + amount, version=kept.version + 1)
        self.accounts = after
        return None

    def reverse(self, transaction_id: UUID) -> str | None:
        legs = self.moves.get(transaction_id)
        if legs is None:
            return "transaction_not_found"
        if transaction_id in self.reversals:
            return "not_reversible"
        if transaction_id in self.reversed:
            return "already_reversed"
        refused = self.move([(a, -amount) for a, amount in legs], self.accounts[legs[0][0]].currency)
        if refused is None:
            self.reversed.add(transaction_id)
        return refused

    def place(self, hold_id: UUID, account_id: UUID, amount: int) -> str | None:
        kept = self.accounts[account_id]
        if kept.status != "open":
            return f"account_{kept.status}"
        if kept.balance + kept.limit - kept.held < amount:
            return "insufficient_funds"
        self._hold(account_id, amount)
        self.holds[hold_id] = Reserved(account_id, amount)
        return None

    def capture(self, hold_id: UUID, amount: int | None, final: bool, target: UUID | None) -> str | None:
        found = self.holds[hold_id]
        if not found.left:
            return "hold_not_open"
        booked = found.left if amount is None else amount
        if booked > found.left:
            return "capture_exceeds_hold"
        if target == found.account:
            return "same_account"
        kept = self.accounts[found.account]
        if kept.status != "open":
            return f"account_{kept.status}"
        if target is not None:
            paid = self.accounts[target]
            if paid.status != "open":
                return f"account_{paid.status}"
            if paid.currency != kept.currency:
                return "currency_mismatch"
            self.accounts[target] = replace(paid, balance=paid.balance + booked, version=paid.version + 1)
        left = 0 if final else found.left - booked
        self._hold(found.account, left - found.left)
        kept = self.accounts[found.account]
        self.accounts[found.account] = replace(kept, balance=kept.balance - booked)
        self.holds[hold_id] = replace(found, left=left)
        return None

    def extend(self, hold_id: UUID, amount: int | None, later: bool) -> str | None:
        found = self.holds[hold_id]
        if not found.left:
            return "hold_not_open"
        if amount is None and not later:
            return "validation_failed"
        kept = self.accounts[found.account]
        if kept.status != "open":
            return f"account_{kept.status}"
        more = amount or 0
        if kept.balance + kept.limit - kept.held < more:
            return "insufficient_funds"
        self._hold(found.account, more)
        self.holds[hold_id] = replace(found, left=found.left + more)
        return None

    def release(self, hold_id: UUID, amount: int | None) -> str | None:
        found = self.holds[hold_id]
        if not found.left:
            return "hold_not_open"
        given_up = found.left if amount is None else amount
        if given_up > found.left:
            return "release_exceeds_hold"
        self._hold(found.account, -given_up)
        self.holds[hold_id] = replace(found, left=found.left - given_up)
        return None

    def _hold(self, account_id: UUID, change: int) -> None:
        kept = self.accounts[account_id]
        self.accounts[account_id] = replace(kept, held=kept.held + change, version=kept.version + 1)

    def set_limit(self, account_id: UUID, limit: int) -> str | None:
        kept = self.accounts[account_id]
        if kept.status == "closed":
            return "account_closed"
        if limit > LIMITS[kept.product]:
            return "overdraft_not_allowed"
        if kept.balance + limit - kept.held < 0:
            return "overdraft_in_use"
        self.accounts[account_id] = replace(kept, limit=limit, version=kept.version + 1)
        return None

    def set_status(self, account_id: UUID, wanted: str) -> str | None:
        kept = self.accounts[account_id]
        if kept.status == "closed":
            return "account_closed"
        if wanted == "open":
            if kept.status != "frozen":
                return "account_not_frozen"
        elif kept.status == "frozen":
            return "account_frozen"
        if wanted == "closed" and (kept.balance or kept.held):
            return "balance_not_zero"
        self.accounts[account_id] = replace(kept, status=wanted, version=kept.version + 1)
        return None


class BankMachine(RuleBasedStateMachine):
    accounts = Bundle("accounts")
    transactions = Bundle("transactions")
    holds = Bundle("holds")
    bank: Bank
    sweep = staticmethod(lambda: None)

    @initialize()
    def begin(self) -> None:
        type(self).sweep()
        self.oracle = Oracle()
        self.number = 0

    def send(self, command: c.Command, expected: str | None) -> Outcome:
        """Executes, compares with the oracle's verdict, and sends it once more with its key: still one effect."""
        self.number += 1
        before = self.bank.footprint()
        envelope = self.bank.envelope(command, key=f"key-{self.number}")
        [outcome] = execute([envelope])
        if isinstance(outcome, Refused):
            assert outcome.code.value == expected
            assert self.bank.footprint() == before, "a refused command changed something"
        else:
            assert expected is None, f"executed, though the oracle says {expected}"
            after = self.bank.footprint()
            [again] = execute([envelope])
            assert isinstance(again, Executed)
            assert again.replayed
            assert self.bank.footprint() == after, "a repeated command had a second effect"
        return outcome

    def send_move(self, command: c.Command, legs: list[tuple[UUID, int]], currency: str):  # type: ignore[no-untyped-def]
        outcome = self.send(command, self.oracle.move(legs, currency))
        if isinstance(outcome, Refused):
            return multiple()
        self.oracle.moves[outcome.transaction_id] = legs
        return outcome.transaction_id

    @rule(
        target=accounts,
        currency=st.sampled_from(["EUR", "EUR", "JPY"]),
        product=st.sampled_from(["current", "savings"]),
        limit=st.integers(0, 3000),
        deposit=st.integers(0, 5000),
    )
    def open(self, currency: str, product: str, limit: int, deposit: int):  # type: ignore[no-untyped-def]
        account_id = new_id()
        command = c.OpenAccount(account_id, "Ann", currency, product, limit, opening_deposit=deposit)
        refused = "overdraft_not_allowed" if limit > LIMITS[product] else None
        if refused is None:
            self.oracle.accounts[account_id] = Kept(currency, product, limit, deposit)
        self.send(command, refused)
        return multiple() if refused else account_id

    @rule(target=transactions, account=accounts, amount=amounts, currency=st.sampled_from(["EUR", "JPY"]))
    def deposit(self, account: UUID, amount: int, currency: str):  # type: ignore[no-untyped-def]
        return self.send_move(c.Deposit(account, Money(amount, currency)), [(account, amount)], currency)

    @rule(target=transactions, account=accounts, amount=amounts)
    def withdraw(self, account: UUID, amount: int):  # type: ignore[no-untyped-def]
        currency = self.oracle.accounts[account].currency
        return self.send_move(c.Withdraw(account, Money(amount, currency)), [(account, -amount)], currency)

    @rule(target=transactions, source=accounts, target_account=accounts, amount=amounts)
    def transfer(self, source: UUID, target_account: UUID, amount: int):  # type: ignore[no-untyped-def]
        currency = self.oracle.accounts[source].currency
        command = c.Transfer(source, target_account, Money(amount, currency))
        if source == target_account:
            self.send(command, "same_account")
            return multiple()
        return self.send_move(command, [(source, -amount), (target_account, amount)], currency)

    @rule(target=transactions, transaction=transactions)
    def reverse(self, transaction: UUID):  # type: ignore[no-untyped-def]
        outcome = self.send(c.ReverseTransaction(transaction), self.oracle.reverse(transaction))
        if isinstance(outcome, Refused):
            return multiple()
        self.oracle.moves[outcome.transaction_id] = []
        self.oracle.reversals.add(outcome.transaction_id)
        return outcome.transaction_id

    @rule(target=holds, account=accounts, amount=amounts)
    def place_a_hold(self, account: UUID, amount: int):  # type: ignore[no-untyped-def]
        hold_id, currency = new_id(), self.oracle.accounts[account].currency
        expected = self.oracle.place(hold_id, account, amount)
        self.send(c.PlaceHold(account, hold_id, Money(amount, currency)), expected)
        return multiple() if expected else hold_id

    @rule(
        target=transactions,
        hold=holds,
        amount=st.none() | amounts,
        final=st.booleans(),
        paid=st.none() | accounts,
    )
    def capture_a_hold(self, hold: UUID, amount: int | None, final: bool, paid: UUID | None):  # type: ignore[no-untyped-def]
        account, left = self.oracle.holds[hold].account, self.oracle.holds[hold].left
        money = None if amount is None else Money(amount, self.oracle.accounts[account].currency)
        expected = self.oracle.capture(hold, amount, final, paid)
        outcome = self.send(c.CaptureHold(hold, money, final, target_id=paid or UNSET), expected)
        if isinstance(outcome, Refused):
            return multiple()
        booked = left if amount is None else amount
        self.oracle.moves[outcome.transaction_id] = [(account, -booked), *([(paid, booked)] if paid else [])]
        return outcome.transaction_id

    @rule(hold=holds, amount=st.none() | amounts, later=st.booleans())
    def extend_a_hold(self, hold: UUID, amount: int | None, later: bool) -> None:
        """Each time by a second, so that it is always later than before."""
        currency = self.oracle.accounts[self.oracle.holds[hold].account].currency
        end = Hold.objects.get(id=hold).expires_at + timedelta(seconds=1) if later else None
        expected = self.oracle.extend(hold, amount, later)
        self.send(c.ExtendHold(hold, None if amount is None else Money(amount, currency), end), expected)
        if end and expected is None:
            assert Hold.objects.get(id=hold).expires_at == end

    @rule(hold=holds, amount=st.none() | amounts)
    def release_a_hold(self, hold: UUID, amount: int | None) -> None:
        currency = self.oracle.accounts[self.oracle.holds[hold].account].currency
        money = None if amount is None else Money(amount, currency)
        self.send(c.ReleaseHold(hold, money), self.oracle.release(hold, amount))

    @rule(hold=holds)
    def expire_a_hold_before_its_time(self, hold: UUID) -> None:
        self.send(c.ExpireHold(hold), "validation_failed" if self.oracle.holds[hold].left else "hold_not_open")

    @rule(account=accounts, limit=st.integers(0, 3000))
    def change_limit(self, account: UUID, limit: int) -> None:
        currency = self.oracle.accounts[account].currency
        self.send(c.ChangeOverdraftLimit(account, Money(limit, currency)), self.oracle.set_limit(account, limit))

    @rule(account=accounts)
    def freeze(self, account: UUID) -> None:
        self.send(c.FreezeAccount(account), self.oracle.set_status(account, "frozen"))

    @rule(account=accounts)
    def unfreeze(self, account: UUID) -> None:
        self.send(c.UnfreezeAccount(account), self.oracle.set_status(account, "open"))

    @rule(account=accounts)
    def close(self, account: UUID) -> None:
        self.send(c.CloseAccount(account), self.oracle.set_status(account, "closed"))

    @rule(account=accounts, amount=amounts, stale=st.integers(1, 3))
    def withdraw_on_a_stale_version(self, account: UUID, amount: int, stale: int) -> None:
        kept = self.oracle.accounts[account]
        before = self.bank.footprint()
        envelope = self.bank.envelope(
            c.Withdraw(account, Money(amount, kept.currency)), expected_version=kept.version + stale
        )
        [outcome] = execute([envelope])
        assert isinstance(outcome, Refused)
        assert outcome.code is ErrorCode.VERSION_MISMATCH
        assert self.bank.footprint() == before

    @rule(data=st.data(), chosen=st.lists(accounts, min_size=1, max_size=4), atomic=st.booleans())
    def a_batch(self, data: st.DataObject, chosen: list[UUID], atomic: bool) -> None:
        """Withdrawals, of which some may fail: each alone, or all or nothing."""
        before, kept_before = self.bank.footprint(), dict(self.oracle.accounts)
        batch, expected = [], []
        for account in chosen:
            currency, amount = self.oracle.accounts[account].currency, data.draw(amounts)
            batch.append(self.bank.envelope(c.Withdraw(account, Money(amount, currency))))
            expected.append(self.oracle.move([(account, -amount)], currency))
        outcomes = execute(batch, all_or_nothing=atomic)
        if atomic and any(expected):
            assert all(isinstance(outcome, Refused) for outcome in outcomes)
            assert self.bank.footprint() == before
            self.oracle.accounts = kept_before
            return
        actual = [outcome.code.value if isinstance(outcome, Refused) else None for outcome in outcomes]
        assert actual == expected

    @invariant()
    def the_bank_is_as_the_oracle_says(self) -> None:
        rows = {row.id: row for row in Account.objects.all()}
        assert set(rows) == set(self.oracle.accounts)
        for account_id, kept in self.oracle.accounts.items():
            row, folded = rows[account_id], load(account_id, use_snapshots=False).state
            expected = (kept.balance, kept.held, kept.status, kept.limit, kept.version)
            assert (row.balance, row.held, row.status, row.overdraft_limit, row.version) == expected
            assert (folded.balance, folded.held, folded.status, folded.overdraft_limit, folded.version) == expected
            assert kept.balance + kept.limit - kept.held >= 0
        assert {hold.id: hold.held for hold in Hold.objects.all()} == {
            hold_id: reserved.left for hold_id, reserved in self.oracle.holds.items()
        }

    @invariant()
    def versions_have_no_holes(self) -> None:
        versions: dict[UUID, list[int]] = {}
        for aggregate_id, version in Event.objects.order_by("position").values_list("aggregate_id", "version"):
            versions.setdefault(aggregate_id, []).append(version)
        for aggregate_id, found in versions.items():
            assert found == list(range(1, len(found) + 1))
            assert Stream.objects.get(aggregate_id=aggregate_id).version == len(found)

    @invariant()
    def the_books_sum_to_zero_and_the_read_models_agree(self) -> None:
        catch_up(projections.registered())
        sums = JournalLine.objects.order_by().values("transaction_id", "currency").annotate(total=Sum("amount"))
        assert all(row["total"] == 0 for row in sums)
        for account_id, kept in self.oracle.accounts.items():
            lines = JournalLine.objects.filter(ledger_account=f"account:{account_id}").aggregate(total=Sum("amount"))
            assert (lines["total"] or 0) == kept.balance
            newest = Transaction.objects.filter(account_id=account_id).order_by("-position").first()
            assert (newest.balance if newest else 0) == kept.balance
            day = DailyBalance.objects.filter(account_id=account_id).order_by("-day").first()
            assert (day.closing_balance if day else 0) == kept.balance


@pytest.mark.timeout(300)
def test_the_bank_behaves_as_the_oracle(bank: Bank, sweep) -> None:  # type: ignore[no-untyped-def]
    BankMachine.bank = bank
    BankMachine.sweep = staticmethod(sweep)
    run_state_machine_as_test(
        BankMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
