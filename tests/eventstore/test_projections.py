"""Read models follow the feed exactly once, whatever is stopped, repeated or broken in between."""

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from accounts.models import DailyBalance, JournalLine, LedgerDay, Transaction
from accounts.projections.transactions import Transactions
from eventstore import feed, projections, store
from eventstore.errors import UnknownEventType
from eventstore.events import Context, NewEvent, new_id
from eventstore.feed import Page
from eventstore.models import DeadLetter, Event, ProjectionState
from eventstore.projections import applying, checkpoints
from eventstore.projections.applying import MAX_FAILURES_PER_BATCH, Gap, Span, apply_events
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Paused
from eventstore.projections.runner import Runner, catch_up
from tests.bank import Bank
from tests.threads import together


def content() -> tuple[object, ...]:
    return (
        *(list(model.objects.order_by("pk").values()) for model in (Transaction, JournalLine)),
        list(
            DailyBalance.objects.order_by("account_id", "day").values(
                "account_id", "day", "closing_balance", "postings"
            )
        ),
        list(
            LedgerDay.objects.order_by("day", "currency", "ledger_account").values(
                "day", "currency", "ledger_account", "credits", "debits", "lines"
            )
        ),
    )


def some_history(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    for _ in range(10):
        bank.transfer(ann, bob, "1.00")
    bank.reverse(bank.withdraw(bob, "2.00").transaction_id)


def test_a_second_run_applies_nothing_again(bank: Bank) -> None:
    some_history(bank)
    catch_up(projections.registered())
    before = content()

    assert catch_up(projections.registered()) == 0
    assert content() == before


def test_eight_runners_at_once_apply_each_event_once(bank: Bank) -> None:
    some_history(bank)
    chosen = projections.registered()
    for projection in chosen:
        Runner(projection)

    def run() -> None:
        for projection in chosen:
            runner = Runner(projection, batch_size=3)
            for _ in range(40):
                runner.step()

    together([run] * 8)
    catch_up(chosen)
    assert Transaction.objects.count() == 23
    call_command("verify_ledger")


def test_a_crash_between_rows_and_checkpoint_leaves_neither(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    from eventstore.projections import checkpoints

    some_history(bank)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "move", crash)
        with pytest.raises(KeyboardInterrupt):
            Runner(Transactions()).step()
    assert not Transaction.objects.exists()

    catch_up([Transactions()])
    assert Transaction.objects.count() == 23


def test_an_unknown_event_type_pauses_the_projection_and_names_the_event(bank: Bank) -> None:
    some_history(bank)
    stranger = new_id()
    context = Context(actor="system:test", source="test")
    store.append("account", [NewEvent(stranger, "AccountGilded", {})], expected={stranger: 0}, context=context)
    bank.open("5.00")
    runner = Runner(Transactions(), batch_size=5)

    for _ in range(20):
        runner.try_step()

    state = ProjectionState.objects.get(name="transactions")
    assert state.state == "paused"
    assert "AccountGilded" in state.reason
    assert str(stranger) in state.reason
    assert not Transaction.objects.filter(amount=500).exists(), "what came after was applied past the unknown event"
    with pytest.raises(UnknownEventType):
        runner.step()


def test_a_projection_that_fails_on_everything_stops_and_recovers(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are not to blame: none of them becomes a dead letter."""
    some_history(bank)
    for _ in range(MAX_FAILURES_PER_BATCH):
        bank.open("1.00")
    runner = Runner(Transactions())
    with monkeypatch.context() as patch:
        patch.setattr(Transactions, "set_based", "")
        patch.setattr(Transactions, "write", lambda *_: 1 / 0)
        assert runner.try_step() == 0
    assert ProjectionState.objects.get(name="transactions").state == "failed"
    assert not DeadLetter.objects.exists()

    runner._not_before = 0.0
    assert runner.try_step() > 0
    assert ProjectionState.objects.get(name="transactions").state == "running"
    assert Transaction.objects.count() == 23 + MAX_FAILURES_PER_BATCH


COLUMNS = {
    "transactions": "amount",
    "journal": "amount",
    "daily_balances": "closing_balance",
    "ledger_days": "credits",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_rebuild_mends_what_was_damaged(bank: Bank, sweeper: psycopg.Connection, name: str) -> None:
    some_history(bank)
    catch_up(projections.registered())
    before = content()
    table = projections.get(name).tables[0]  # type: ignore[union-attr]
    sweeper.execute(f"UPDATE {table} SET {COLUMNS[name]} = {COLUMNS[name]} + 1")
    with pytest.raises(CommandError, match=table):
        call_command("verify_ledger")

    call_command("rebuild_projection", name)

    assert content() == before
    call_command("verify_ledger")


def test_every_projection_has_an_opinion_on_every_event_type() -> None:
    from eventstore.registry import aggregate_type

    for projection in projections.registered():
        assert isinstance(projection, Projection)
        assert set(aggregate_type("account").events) <= projection.handles | projection.ignores, projection.name


def test_an_unknown_read_model_is_refused_with_the_list_of_those_there_are(db: None) -> None:
    with pytest.raises(CommandError, match="accounts, daily_balances, journal, ledger_days, snapshots, transactions"):
        call_command("rebuild_projection", "nonsense")


def test_what_lies_between_checkpoint_and_message_in_other_shards_is_none_of_its_business(bank: Bank) -> None:
    ann = bank.open("1.00")
    shards = feed.require_shard_count()
    mine = feed.shard_of(ann, shards)
    others = [other for other in (bank.open() for _ in range(20)) if feed.shard_of(other, shards) != mine]
    catch_up([Transactions()])  # all checkpoints are at the end of the feed, where ann has no event
    for other in others:
        bank.deposit(other, "2.00")
    bank.deposit(ann, "3.00")
    position, before = (
        Event.objects.filter(aggregate_id=ann).order_by("-position").values_list("position", flat=True)[:2]
    )
    page = Page([feed.Ref(position, str(ann), mine)])

    applied = apply_events(Transactions(), page, spans={mine: Span(before, position, first=position)})

    assert applied == 1
    assert list(Transaction.objects.filter(account_id=ann).values_list("amount", flat=True)) == [300, 100]


def test_an_event_that_a_message_passes_over_is_a_gap(bank: Bank) -> None:
    ann = bank.open("1.00")
    shards = feed.require_shard_count()
    mine = feed.shard_of(ann, shards)
    catch_up([Transactions()])
    bank.deposit(ann, "2.00")
    bank.deposit(ann, "3.00")
    position, _, before = (
        Event.objects.filter(aggregate_id=ann).order_by("-position").values_list("position", flat=True)[:3]
    )
    page = Page([feed.Ref(position, str(ann), mine)])

    with pytest.raises(Gap):
        apply_events(Transactions(), page, spans={mine: Span(before - 1, position, first=position)})

    assert list(Transaction.objects.filter(account_id=ann).values_list("amount", flat=True)) == [100]


def test_what_lies_too_far_apart_to_be_looked_through_is_a_gap(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at is not taken for nothing: the feed is read from the checkpoint instead."""
    ann = bank.open("1.00")
    shards = feed.require_shard_count()
    mine = feed.shard_of(ann, shards)
    catch_up([Transactions()])
    bank.deposit(ann, "2.00")
    bank.deposit(ann, "3.00")
    last, missed, before = (
        Event.objects.filter(aggregate_id=ann).order_by("-position").values_list("position", flat=True)[:3]
    )
    other = next(each for each in iter(bank.open, None) if feed.shard_of(each, shards) != mine)
    bank.deposit(other, "1.00")
    bank.deposit(ann, "4.00")
    position = Event.objects.filter(aggregate_id=ann).latest("position").position
    apply_events(
        Transactions(),
        Page([feed.Ref(missed, str(ann), mine), feed.Ref(last, str(ann), mine)]),
        spans={mine: Span(before, last, first=missed)},
    )
    page, spans = Page([feed.Ref(position, str(ann), mine)]), {mine: Span(before, position, first=position)}

    with monkeypatch.context() as shortsighted:
        shortsighted.setattr(applying, "LOOKED_THROUGH", 1)
        with pytest.raises(Gap):
            apply_events(Transactions(), page, spans=spans)
    amounts = Transaction.objects.filter(account_id=ann).order_by("position").values_list("amount", flat=True)
    assert list(amounts) == [100, 200, 300]

    assert apply_events(Transactions(), page, spans=spans) == 1
    assert list(amounts.all()) == [100, 200, 300, 400]


def deposited(bank: Bank) -> tuple[Page, dict[int, Span]]:
    """An event that is not applied yet, as a batch."""
    ann = bank.open()
    catch_up([Transactions()])
    before = feed.mark()
    bank.deposit(ann, "2.00")
    shards, position = feed.require_shard_count(), feed.mark()
    page = Page([feed.Ref(position, str(ann), feed.shard_of(ann, shards))])
    return page, applying.whole_feed(before, position, shards)


def test_nothing_is_applied_while_somebody_replaces_the_tables(bank: Bank, sweeper: psycopg.Connection) -> None:
    page, spans = deposited(bank)

    with sweeper.transaction():
        checkpoints.claim(sweeper, "transactions")
        with pytest.raises(OperationalError, match="lock timeout"):
            apply_events(Transactions(), page, spans=spans)
    assert not Transaction.objects.exists()

    assert apply_events(Transactions(), page, spans=spans) == 1


def test_nothing_is_applied_while_a_person_has_paused_it(bank: Bank) -> None:
    page, spans = deposited(bank)
    with connection.cursor() as cursor:
        assert checkpoints.pause(cursor, "transactions", by="staff:olga", reason="to look at it")

    with pytest.raises(Paused, match="paused by staff:olga"):
        apply_events(Transactions(), page, spans=spans)
    assert not Transaction.objects.exists()

    with connection.cursor() as cursor:
        assert checkpoints.resume(cursor, "transactions")
    assert apply_events(Transactions(), page, spans=spans) == 1
