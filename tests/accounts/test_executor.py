"""The executor: batches, idempotency, expected versions, lost races."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from accounts import selectors
from accounts.domain.commands import Command, Deposit, OpenAccount, PlaceHold, ReverseTransaction, Transfer, Withdraw
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import Decision, Facts
from accounts.domain.money import Money
from accounts.models import Account
from accounts.services import Executed, Refused, execute, executor
from accounts.services.apart import run_apart
from accounts.services.executor import MAX_BATCH, WRITTEN_AT_ONCE
from accounts.verification import verify
from eventstore.errors import BrokenHistory, OutcomeUnknown, StoreBusy
from eventstore.events import new_id
from eventstore.idempotency import MAX_GUARDED_KEYS
from eventstore.models import Event, IdempotencyRecord
from tests.bank import Bank
from tests.threads import together

EURO = Money(100, "EUR")


def test_each_command_of_a_batch_sees_those_before_it(bank: Bank) -> None:
    ann, bob = new_id(), new_id()
    outcomes = execute(
        [
            bank.envelope(OpenAccount(ann, "Ann", "EUR")),
            bank.envelope(OpenAccount(bob, "Bob", "EUR")),
            bank.envelope(Withdraw(ann, EURO)),
            bank.envelope(Deposit(ann, EURO)),
            bank.envelope(Transfer(ann, bob, EURO)),
            bank.envelope(Withdraw(ann, EURO)),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [Executed, Executed, Refused, Executed, Executed, Refused]
    assert (bank.balance(ann), bank.balance(bob)) == (0, 100)


def test_a_batch_that_is_written_in_parts_is_one_transaction_over_the_same_accounts(bank: Bank) -> None:
    ann, bob = bank.open("1.00"), bank.open()
    commands = [Transfer(ann, bob, EURO) if number % 2 == 0 else Transfer(bob, ann, EURO) for number in range(101)]

    outcomes = execute([bank.envelope(command, key=str(number)) for number, command in enumerate(commands)])

    assert 2 * len(commands) > 3 * WRITTEN_AT_ONCE, "it takes several parts"
    assert all(isinstance(outcome, Executed) for outcome in outcomes)
    assert (bank.balance(ann), bank.balance(bob)) == (0, 100)
    assert Event.objects.filter(aggregate_id=bob).count() == 1 + len(commands)
    assert verify().differences == 0


def test_nothing_of_a_batch_stays_when_a_later_part_of_it_fails(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = bank.open()
    before = bank.footprint()
    first, lost = executor.decide, RuntimeError("a rule breaks down")
    commands = [Deposit(ann, EURO)] * (2 * WRITTEN_AT_ONCE) + [Withdraw(ann, EURO)]

    def breaking(command: Command, facts: Facts) -> Decision:
        if isinstance(command, Withdraw):
            raise lost
        return first(command, facts)

    monkeypatch.setattr(executor, "decide", breaking)
    with pytest.raises(RuntimeError, match="breaks down"):
        execute([bank.envelope(command, key=str(number)) for number, command in enumerate(commands)])

    assert bank.footprint() == before
    assert not IdempotencyRecord.objects.exists()


def test_all_or_nothing_means_nothing_when_one_is_refused(bank: Bank) -> None:
    ann = bank.open("1.00")
    before = bank.footprint()

    outcomes = execute(
        [bank.envelope(Deposit(ann, EURO), key="a"), bank.envelope(Withdraw(ann, Money(10_000, "EUR")), key="b")],
        all_or_nothing=True,
    )

    assert [outcome.code for outcome in outcomes if isinstance(outcome, Refused)] == [
        ErrorCode.BATCH_REJECTED,
        ErrorCode.INSUFFICIENT_FUNDS,
    ]
    assert bank.footprint() == before
    assert not IdempotencyRecord.objects.exists()


def test_an_empty_batch_does_nothing_and_one_too_large_is_refused(bank: Bank) -> None:
    assert execute([]) == []
    with pytest.raises(ValueError, match="at most 10000"):
        execute([bank.envelope(Deposit(new_id(), EURO))] * (MAX_BATCH + 1))


def test_the_same_key_gives_the_first_answer_again(bank: Bank) -> None:
    ann = bank.open("5.00")
    first = bank.do(Withdraw(ann, EURO), key="k")
    bank.deposit(ann, "7.00")
    again = bank.do(Withdraw(ann, EURO), key="k")

    assert (again.transaction_id, again.result, again.replayed) == (first.transaction_id, first.result, True)
    assert bank.balance(ann) == 1100


def test_the_same_key_for_another_command_is_refused_and_names_the_first_account(bank: Bank) -> None:
    ann, bob = bank.open("5.00"), bank.open("5.00")
    bank.do(Withdraw(ann, EURO), key="k")
    before = bank.footprint()

    with pytest.raises(Refusal) as refused:
        bank.do(Withdraw(bob, EURO), key="k")

    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert refused.value.extra["account_id"] == str(ann)
    assert bank.footprint() == before


def test_a_refused_command_may_be_sent_again_with_its_key(bank: Bank) -> None:
    ann = bank.open()
    with pytest.raises(Refusal):
        bank.do(Withdraw(ann, EURO), key="k")
    bank.deposit(ann, "1.00")

    assert not bank.do(Withdraw(ann, EURO), key="k").replayed
    assert bank.balance(ann) == 0


def test_a_key_twice_in_one_batch_is_one_effect(bank: Bank) -> None:
    ann = bank.open()
    one, two = execute([bank.envelope(Deposit(ann, EURO), key="k")] * 2)
    assert isinstance(one, Executed)
    assert isinstance(two, Executed)
    assert two.replayed
    assert bank.balance(ann) == 100


def test_opening_an_account_again_with_its_key_opens_no_second_one(bank: Bank) -> None:
    first = bank.do(OpenAccount(new_id(), "Ann", "EUR"), key="k")
    again = bank.do(OpenAccount(new_id(), "Ann", "EUR"), key="k")
    assert again.result == first.result
    assert Account.objects.count() == 1


@pytest.mark.parametrize("size", [1, MAX_GUARDED_KEYS + 1])
def test_20_threads_with_the_same_keys_have_one_effect(bank: Bank, size: int) -> None:
    """A small batch is told that its key is being worked on; one too large for that waits and replays."""
    ann = bank.open()
    batch = [bank.envelope(Deposit(ann, EURO), key=f"k{number}") for number in range(size)]

    results = together([lambda: execute(batch)] * 20)

    fresh = [r for r in results if isinstance(r[0], Executed) and not r[0].replayed]
    assert len(fresh) == 1
    assert bank.balance(ann) == 100 * size
    for outcome in (result[0] for result in results):
        if isinstance(outcome, Refused):
            assert outcome.code is ErrorCode.COMMAND_IN_PROGRESS
        else:
            assert outcome.result == fresh[0][0].result


def test_20_threads_that_open_with_the_same_key_open_one_account(bank: Bank) -> None:
    """No stream is shared here: only the record of the key stands between the threads."""
    batch = [
        [bank.envelope(OpenAccount(new_id(), "Ann", "EUR"), key=f"k{n}") for n in range(MAX_GUARDED_KEYS + 1)]
        for _ in range(20)
    ]
    together([lambda commands=commands: execute(commands) for commands in batch])
    assert Account.objects.count() == MAX_GUARDED_KEYS + 1


def test_transfers_both_ways_from_16_threads_neither_deadlock_nor_make_money(bank: Bank) -> None:
    accounts = [bank.open("100.00") for _ in range(4)]
    total = sum(map(bank.balance, accounts))

    def shuffle(seed: int) -> list[object]:
        import random

        dice = random.Random(seed)
        outcomes: list[object] = []
        for _ in range(30):
            source, target = dice.sample(accounts, 2)
            command = Transfer(source, target, Money(dice.randint(1, 3000), "EUR"))
            outcomes += execute([bank.envelope(command)])
        return outcomes

    outcomes = [outcome for thread in together([lambda s=s: shuffle(s) for s in range(16)]) for outcome in thread]

    refusals = {outcome.code for outcome in outcomes if isinstance(outcome, Refused)}
    assert refusals <= {ErrorCode.INSUFFICIENT_FUNDS}, "a lost race reached a caller"
    balances = list(map(bank.balance, accounts))
    assert sum(balances) == total
    assert min(balances) >= 0


def test_a_expected_version_is_checked_against_the_command_s_account(bank: Bank) -> None:
    ann = bank.open("5.00")
    before = bank.footprint()
    with pytest.raises(Refusal) as refused:
        bank.do(Withdraw(ann, EURO), expected_version=1)
    assert (refused.value.code, refused.value.extra) == (ErrorCode.VERSION_MISMATCH, {"expected": 1, "actual": 2})
    assert bank.footprint() == before

    bank.do(Withdraw(ann, EURO), expected_version=2)


def test_of_16_that_decide_on_one_version_one_is_executed(bank: Bank) -> None:
    ann = bank.open("100.00")
    outcomes = together([lambda: execute([bank.envelope(Withdraw(ann, EURO), expected_version=2)])] * 16)
    executed = [outcome for [outcome] in outcomes if isinstance(outcome, Executed)]
    assert len(executed) == 1
    assert bank.balance(ann) == 9900


def test_a_lock_that_is_not_to_be_had_is_told_in_time_and_nothing_happened(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann = bank.open("5.00")
    before = bank.footprint()
    with sweeper.transaction():
        sweeper.execute("SELECT * FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
        with pytest.raises(StoreBusy):
            bank.withdraw(ann, "1.00")
    assert bank.footprint() == before
    bank.withdraw(ann, "1.00")


def test_a_read_model_that_disagrees_with_its_stream_is_not_built_on(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann = bank.open("5.00")
    sweeper.execute("UPDATE accounts SET version = version + 1, balance = 1000000")
    before = bank.footprint()

    with pytest.raises(BrokenHistory, match="verify_ledger"):
        bank.withdraw(ann, "100.00")

    assert bank.footprint() == before


def test_an_account_that_contradicts_its_events_keeps_nobody_else_of_a_batch(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann, bob, cid = bank.open("5.00"), bank.open("5.00"), bank.open("5.00")
    sweeper.execute("UPDATE accounts SET version = version + 1 WHERE id = %s", (bob,))
    commands = [Deposit(ann, EURO), Deposit(bob, EURO), Transfer(cid, bob, EURO), Transfer(cid, ann, EURO)]
    envelopes = [bank.envelope(command, key=str(number)) for number, command in enumerate(commands)]

    outcomes = execute(envelopes)

    assert [outcome.code if isinstance(outcome, Refused) else "executed" for outcome in outcomes] == [
        "executed",
        ErrorCode.BROKEN_HISTORY,
        ErrorCode.BROKEN_HISTORY,
        "executed",
    ]
    assert [bank.balance(account) for account in (ann, bob, cid)] == [700, 500, 400]
    assert set(IdempotencyRecord.objects.values_list("key", flat=True)) == {"0", "3"}
    sweeper.execute("UPDATE accounts SET version = version - 1 WHERE id = %s", (bob,))
    assert [outcome.replayed for outcome in execute(envelopes) if isinstance(outcome, Executed)] == [
        True,
        False,
        False,
        True,
    ]
    assert verify().differences == 0


def test_of_a_batch_that_is_all_or_nothing_nothing_stays_where_an_account_contradicts_its_events(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann, bob = bank.open("5.00"), bank.open("5.00")
    sweeper.execute("UPDATE accounts SET version = version + 1 WHERE id = %s", (bob,))
    before = bank.footprint()

    outcomes = execute([bank.envelope(Deposit(ann, EURO)), bank.envelope(Deposit(bob, EURO))], all_or_nothing=True)

    codes = [outcome.code for outcome in outcomes if isinstance(outcome, Refused)]
    assert codes == [ErrorCode.BATCH_REJECTED, ErrorCode.BROKEN_HISTORY]
    assert bank.footprint() == before


def test_the_answer_tells_the_time_in_the_books_where_the_clock_was_set_back(bank: Bank) -> None:
    ann, bob = bank.open("1.00"), bank.open()
    ahead = datetime.now(UTC) + timedelta(days=2)
    execute([bank.envelope(Deposit(ann, EURO))], recorded_at=ahead)

    executed = bank.transfer(ann, bob, "1.00")

    postings = selectors.transaction(executed.transaction_id, None).postings
    assert executed.result["recorded_at"] == ahead.isoformat()
    assert postings[0]["recorded_at"] == ahead
    assert postings[1]["recorded_at"] < ahead, "another account's time goes on as before"
    [value_date] = {posting["value_date"] for posting in postings}
    assert value_date == ahead.date(), "that is by the books which are further, the same on both sides"


def test_what_touches_no_account_that_is_ahead_of_the_clock_has_the_value_date_of_the_clock(bank: Bank) -> None:
    ann, bob = bank.open("1.00"), bank.open("1.00")
    ahead = datetime.now(UTC) + timedelta(days=2)
    execute([bank.envelope(Deposit(ann, EURO))], recorded_at=ahead)

    outcomes = execute([bank.envelope(Withdraw(each, EURO)) for each in (ann, bob)])

    dates = [selectors.transaction(each.transaction_id, None).postings[0]["value_date"] for each in outcomes]
    assert dates[0] == ahead.date()
    assert dates[1] < ahead.date()
    assert verify().differences == 0


def test_a_command_that_fails_its_whole_transaction_keeps_nobody_else_of_a_batch(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann, bob = bank.open("5.00"), bank.open("5.00")
    done = bank.deposit(bob, "1.00")
    sweeper.execute("UPDATE events SET data = '{}' WHERE command_id = %s", (done.transaction_id,))
    commands = [
        Withdraw(ann, bank.money("6.00")),
        Deposit(ann, EURO),
        ReverseTransaction(done.transaction_id),
        Withdraw(ann, bank.money("6.00")),
    ]
    envelopes = [bank.envelope(command, key=str(number)) for number, command in enumerate(commands)]

    outcomes = execute(envelopes)

    assert [outcome.code if isinstance(outcome, Refused) else "executed" for outcome in outcomes] == [
        ErrorCode.INSUFFICIENT_FUNDS,
        "executed",
        ErrorCode.BROKEN_HISTORY,
        "executed",
    ], "in their order"
    assert (bank.balance(ann), bank.balance(bob)) == (0, 600)
    assert [outcome.replayed for outcome in execute(envelopes) if isinstance(outcome, Executed)] == [True, True]
    assert set(IdempotencyRecord.objects.values_list("key", flat=True)) == {"1", "3"}


def test_an_id_that_is_taken_fails_its_own_command_of_a_batch(bank: Bank) -> None:
    ann, bob = bank.open("5.00"), bank.open("5.00")
    hold = bank.hold(ann, "1.00")
    euro = [bank.envelope(Deposit(ann, EURO)) for _ in range(8)]

    outcomes = execute([*euro, bank.envelope(PlaceHold(bob, hold, EURO)), *euro])

    assert [isinstance(outcome, Executed) for outcome in outcomes] == [*[True] * 8, False, *[True] * 8]
    assert outcomes[8].code is ErrorCode.BROKEN_HISTORY
    assert bank.balance(ann) == 2100
    assert verify().differences == 0


def test_of_a_batch_that_is_all_or_nothing_nothing_stays_where_a_transaction_fails_as_a_whole(bank: Bank) -> None:
    ann = bank.open("5.00")
    hold = bank.hold(ann, "1.00")
    before = bank.footprint()

    with pytest.raises(BrokenHistory, match="must be unique"):
        execute([bank.envelope(Deposit(ann, EURO)), bank.envelope(PlaceHold(ann, hold, EURO))], all_or_nothing=True)

    assert bank.footprint() == before


def test_a_store_that_becomes_busy_between_two_halves_is_not_told_as_if_nothing_was_done() -> None:
    ran: list[list[int]] = []

    def run(some: Any) -> Any:
        ran.append(list(some))
        if len(some) == 4:
            raise BrokenHistory("one of them")
        if some[0] == 2:
            raise StoreBusy("no connection")
        return [f"did {each}" for each in some]

    with pytest.raises(OutcomeUnknown, match="the first commands of the batch were executed"):
        run_apart(run, range(4))

    assert ran == [[0, 1, 2, 3], [0, 1], [2, 3]], "what is busy is not tried again"


def test_the_sender_learns_nothing_of_accounts_that_are_not_in_its_care(bank: Bank) -> None:
    ann = bank.open("5.00", custodian="client:acme")
    bob = bank.open("900.00", custodian="client:other")

    done = bank.do(Transfer(ann, bob, EURO), custodian="client:acme")

    assert [account["id"] for account in done.result["accounts"]] == [str(ann)]


def test_who_why_and_from_where_stand_in_every_event(bank: Bank) -> None:
    bank.open("5.00")
    for event in Event.objects.all():
        assert event.metadata["actor"] == "system:test"
        assert event.metadata["reason"] == "a test"
