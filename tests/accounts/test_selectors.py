"""Reads of accounts, each within its reader's reach."""

import uuid
from datetime import timedelta
from typing import get_type_hints

import pytest
from django.utils import timezone
from msgspec.structs import fields

from accounts import selectors
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import EVENT_CLASSES
from accounts.models import Account
from eventstore.models import Event
from tests.bank import Bank

NOT_MONEY = {"reverses_version"}


def test_every_number_in_an_event_is_known_as_money_or_as_none() -> None:
    """A field that is added to an event must not cross the API in minor units unnoticed."""
    numbers = {
        field.name
        for cls in EVENT_CLASSES.values()
        for field in fields(cls)
        if get_type_hints(cls)[field.name] is int
    }

    assert numbers - NOT_MONEY == selectors.MONEY_FIELDS


def test_a_reader_sees_the_accounts_in_its_care(bank: Bank) -> None:
    mine, staffs = bank.open(custodian="client:acme"), bank.open()

    assert [account.id for account in selectors.accounts("client:acme")] == [mine]
    assert [account.id for account in selectors.accounts(None)] == [staffs, mine]
    with pytest.raises(Refusal) as refused:
        selectors.account(staffs, "client:acme")
    assert refused.value.code is ErrorCode.ACCOUNT_NOT_FOUND


def test_an_account_at_each_moment_is_what_its_events_made_of_it(bank: Bank) -> None:
    account_id = bank.open("10.00")
    for amount in ("1.00", "2.00", "3.00"):
        bank.deposit(account_id, amount)

    states = [
        selectors.account_at(account_id, event.timestamp, None)
        for event in Event.objects.filter(aggregate_id=account_id).order_by("version")
    ]

    assert [state.version for state in states] == list(range(1, len(states) + 1))
    assert states[-1].balance == Account.objects.get(id=account_id).balance == 1600
    assert [state.balance for state in states][-3:] == [1100, 1300, 1600]


def test_a_moment_outside_of_an_accounts_life_is_refused(bank: Bank) -> None:
    account_id = bank.open("10.00")
    opened_at = Account.objects.get(id=account_id).opened_at

    for moment, code in (
        (opened_at - timedelta(microseconds=1), ErrorCode.ACCOUNT_NOT_YET_OPENED),
        (timezone.now() + timedelta(minutes=1), ErrorCode.VALIDATION_FAILED),
    ):
        with pytest.raises(Refusal) as refused:
            selectors.account_at(account_id, moment, None)
        assert refused.value.code is code


def test_a_transaction_shows_a_reader_its_own_side(bank: Bank) -> None:
    mine, theirs = bank.open("10.00", custodian="client:acme"), bank.open()
    done = bank.transfer(mine, theirs, "4.00").transaction_id

    assert [row["account_id"] for row in selectors.transaction(done, "client:acme").postings] == [mine]
    assert [row["account_id"] for row in selectors.transaction(done, None).postings] == [mine, theirs]
    for unknown in (uuid.uuid4(), bank.deposit(theirs, "1.00").transaction_id):
        with pytest.raises(Refusal) as refused:
            selectors.transaction(unknown, "client:acme")
        assert refused.value.code is ErrorCode.TRANSACTION_NOT_FOUND
