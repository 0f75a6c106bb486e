"""The one executor: every command, from every way in, alone or in a batch, runs through `execute`.

Two round trips to the database. The first claims the idempotency keys, locks the touched streams in id order and
reads heads, records and states. Then the rules run in memory, command by command, each seeing the effects of
those before it. The second writes events, records and the inline read model, and commits.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Any
from uuid import UUID

import stamina
import structlog
from django.db import connection

from accounts.domain.account import AGGREGATE_TYPE, Account, BrokenStream, evolve
from accounts.domain.commands import ON_A_HOLD, ReverseTransaction
from accounts.domain.decide import decide, touched_accounts
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import HOLD_EVENTS, Posting, to_data
from accounts.domain.facts import BookedPosting, Decision, Facts
from accounts.domain.holds import Hold as HoldState
from accounts.domain.holds import evolve_hold
from accounts.domain.journal import imbalances
from accounts.models import Hold
from accounts.services import inline
from accounts.services.apart import run_apart
from accounts.services.coalescing import MOST, Coalescer, Done
from accounts.services.counting import count, counting
from accounts.services.day_limits import Tally
from accounts.services.envelope import Broken, Envelope, Executed, Outcome, Refused
from accounts.services.registration import in_hand
from eventstore.appending import Append, CommandStamp, Opening, held_streams
from eventstore.errors import BrokenHistory, LockTimeout
from eventstore.events import NewEvent, new_id
from eventstore.hashing import canonical_json
from eventstore.idempotency import IdempotencyRecord, insertion
from eventstore.retries import count_retries
from eventstore.transaction import RETRYABLE, write_transaction
from ops.conf import get_settings
from ops.database.exchange import Exchange
from ops.operations import step
from ops.timeouts import attempt, within

MAX_BATCH = 10_000
WRITTEN_AT_ONCE = 64
"""Events; PostgreSQL writes so many of a large batch while the rest of it is decided."""
ATTEMPTS = 12
MEND = "run verify_ledger, then rebuild_projection accounts"

log = structlog.get_logger(__name__)


def execute(
    envelopes: Sequence[Envelope], *, all_or_nothing: bool = False, recorded_at: datetime | None = None
) -> list[Outcome]:
    """Executes commands in order, in one transaction; an outcome for each, in the same order.

    A refused command changes nothing and does not stop the others, unless `all_or_nothing`: then one refusal
    refuses them all. So it is with one whose account or transaction contradicts the books (`Broken`): where that
    fails the transaction, it is executed apart from the others, who then share several. Lost races (version
    conflicts, deadlocks) are run again, at most `ATTEMPTS` times, and then refused as `concurrency_conflict`.

    `recorded_at` is for history that is brought in (demo data, an import): the moment that the events are to tell,
    in place of the database's clock. Times never run backwards within a stream.

    Raises:
        StoreBusy: no lock or connection in time, or too many operations at once (TooManyCommands); nothing happened.
        OutcomeUnknown: the connection broke at the commit; sending the same keys again tells what happened.
        BrokenHistory: with `all_or_nothing`, the books contradict themselves where no single command can be blamed;
            nothing was written.
        ValueError: more than `MAX_BATCH` commands.
    """
    if len(envelopes) > MAX_BATCH:
        raise ValueError(f"a batch holds at most {MAX_BATCH} commands, not {len(envelopes)}")
    if not envelopes:
        return []
    with counting(envelopes) as outcomes:
        if all_or_nothing:
            outcomes += _execute(envelopes, all_or_nothing=True, recorded_at=recorded_at)
        else:
            outcomes += run_apart(partial(_execute, recorded_at=recorded_at), envelopes)
    return outcomes


def _execute(envelopes: Sequence[Envelope], *, patience_ms: int | None = None, **how: Any) -> list[Outcome]:
    limit = within(get_settings().batch_processing_timeout)
    comes_back = () if patience_ms is None else (LockTimeout,)  # with more patience, and is counted then
    with in_hand(envelopes), attempt("batch", but=comes_back), limit:
        return _retry(envelopes, patience_ms=patience_ms, **how)


def _retry(envelopes: Sequence[Envelope], **how: Any) -> list[Outcome]:
    with suppress(*RETRYABLE):  # mostly it works at once, and preparing to try again costs more than a statement
        return _execute_once(envelopes, **how)
    try:
        for attempt in stamina.retry_context(
            on=tuple(RETRYABLE),
            attempts=ATTEMPTS - 1,
            timeout=None,
            wait_initial=0.005,
            wait_max=0.25,
            wait_jitter=0.02,
        ):
            with attempt:
                return _execute_once(envelopes, **how)
    except tuple(RETRYABLE):
        pass
    message = "Other commands kept changing the same accounts. Nothing was done: send it again."
    return [Refused(ErrorCode.CONCURRENCY_CONFLICT, message)] * len(envelopes)


def execute_together(envelopes: Sequence[Envelope]) -> list[Outcome]:
    """As `execute`, but with COALESCE_COMMANDS in the batch that its process executes next, beside the commands of
    other callers; not so where there are too many for that."""
    if not envelopes or len(envelopes) > MOST or connection.in_atomic_block or not get_settings().coalesce_commands:
        return execute(envelopes)
    with counting(envelopes) as outcomes:
        outcomes += run_apart(_together.execute, envelopes)
    return outcomes


def execute_one(envelope: Envelope) -> Executed:
    """The one command of `execute_together`.

    Raises:
        Refusal: the command was refused; nothing changed.
        BrokenHistory: an account contradicts its events; nothing changed. And what `execute` raises.
    """
    (outcome,) = execute_together([envelope])
    if isinstance(outcome, Refused):
        raise outcome.as_error()
    return outcome


def begin_one(envelope: Envelope, done: Done) -> None:
    """As `execute_one` with COALESCE_COMMANDS, for event loops: it waits for nothing, and `done` gets the outcome, or
    what would have been raised, from another thread."""

    def counted(became: Outcome | BaseException) -> None:
        count(envelope, became)
        done(became)

    _together.begin(envelope, counted)


def would_execute(envelope: Envelope) -> Executed:
    """What `execute_one` would answer now; nothing is written, and the id of its transaction means nothing.

    Raises:
        Refusal: the command would be refused. And what `execute` raises.
    """
    with in_hand([envelope]), within(get_settings().batch_processing_timeout), write_transaction() as exchange:
        outcome = _read(exchange, [envelope]).run(envelope)
    if isinstance(outcome, Refused):
        raise outcome.as_error()
    return outcome


def _held(envelopes: Sequence[Envelope]) -> list[bool]:
    """Whether each touches an account that another transaction holds. (Those of a reversal are not known here.)"""
    hold_ids = _hold_ids(envelopes)
    holders = dict(Hold.objects.filter(id__in=hold_ids).values_list("id", "account_id")) if hold_ids else {}
    touched = [touched_accounts(each.command, holder=_holder(each, holders)) for each in envelopes]
    held = held_streams(set().union(*touched))
    return [not held.isdisjoint(accounts) for accounts in touched]


_together = Coalescer(lambda envelopes, patience_ms: _execute(envelopes, patience_ms=patience_ms), _held)


def _execute_once(
    envelopes: Sequence[Envelope],
    *,
    all_or_nothing: bool = False,
    recorded_at: datetime | None = None,
    patience_ms: int | None = None,
) -> list[Outcome]:
    with write_transaction(patient=patience_ms is None) as exchange:
        batch = _read(exchange, envelopes, patience_ms, recorded_at)
        step("deciding")
        if all_or_nothing:
            outcomes = [batch.run(envelope) for envelope in envelopes]
            if any(isinstance(outcome, Refused) for outcome in outcomes):
                own = {record.command_id for record in batch.new_records}
                return [_not_alone(outcome, own) for outcome in outcomes]
        else:
            outcomes = []
            for envelope in envelopes:
                outcomes.append(batch.run(envelope))
                if len(batch.append) >= WRITTEN_AT_ONCE:
                    batch.write(exchange)
                    exchange.flush()
        step("writing")
        batch.write(exchange)
    return outcomes


def _not_alone(outcome: Outcome, own: set[UUID]) -> Outcome:
    """What is told where nothing is written; `own`: the commands that would have been, of which one with the same key
    further on is a replay."""
    if isinstance(outcome, Executed) and (not outcome.replayed or outcome.transaction_id in own):
        return Refused(ErrorCode.BATCH_REJECTED, "Another command of the batch was refused, so none was executed.")
    return outcome


def _read(
    exchange: Exchange,
    envelopes: Sequence[Envelope],
    patience_ms: int | None = None,
    recorded_at: datetime | None = None,
) -> "_Batch":
    """The first round trip. (Reversals, and commands that name a hold, need one more before it, to read of which
    accounts these are.)"""
    reversals = {e.command.transaction_id for e in envelopes if isinstance(e.command, ReverseTransaction)}
    booked = inline.read_booked(exchange, reversals) if reversals else {}
    hold_ids = _hold_ids(envelopes)
    holders = inline.read_holders(exchange, hold_ids) if hold_ids else {}
    account_ids = {
        account_id
        for envelope in envelopes
        for account_id in touched_accounts(
            envelope.command, _booked_for(envelope, booked), _holder(envelope, holders)
        )
    }
    step("locking", list(account_ids))
    keys = [envelope.key for envelope in envelopes if envelope.key is not None]
    opening = Opening(exchange, account_ids, keys, patience_ms)
    states = inline.send_accounts(exchange, account_ids)
    reversed_by = inline.send_reversals(exchange, reversals) if reversals else None
    holds = inline.send_holds(exchange, hold_ids) if hold_ids else None
    limited = [(each.context, each.day_limit) for each in envelopes if each.day_limit is not None]
    tally = Tally(exchange, limited) if limited else None
    opened = opening.fetch()
    batch = _Batch(
        append=Append(opened.heads, AGGREGATE_TYPE),
        accounts=inline.fetch_accounts(states),
        records=opened.records,
        in_progress=opened.in_progress,
        booked=booked,
        reversed_by=inline.fetch_reversals(reversed_by) if reversed_by else {},
        holds=inline.fetch_holds(holds) if holds else {},
        tally=tally,
        now=recorded_at or opened.at,
    )
    batch.compare_with_heads(account_ids)
    return batch


def _booked_for(envelope: Envelope, booked: dict[UUID, list[BookedPosting]]) -> Sequence[BookedPosting]:
    command = envelope.command
    return booked.get(command.transaction_id, ()) if isinstance(command, ReverseTransaction) else ()


def _hold_ids(envelopes: Sequence[Envelope]) -> set[UUID]:
    return {envelope.command.hold_id for envelope in envelopes if isinstance(envelope.command, ON_A_HOLD)}


def _holder(envelope: Envelope, holders: dict[UUID, UUID]) -> UUID | None:
    command = envelope.command
    return holders.get(command.hold_id) if isinstance(command, ON_A_HOLD) else None


class _Batch:
    """Commands being decided in memory, over locked streams."""

    def __init__(
        self,
        *,
        append: Append,
        accounts: dict[UUID, Account],
        records: dict[tuple[str, str], IdempotencyRecord],
        in_progress: set[tuple[str, str]],
        booked: dict[UUID, list[BookedPosting]],
        reversed_by: dict[UUID, UUID],
        holds: dict[UUID, HoldState],
        tally: Tally | None,
        now: datetime,
    ) -> None:
        self.append = append
        self.accounts = accounts
        self.records = records
        self.in_progress = in_progress
        self.booked = booked
        self.reversed_by = reversed_by
        self.holds = holds
        self.tally = tally
        self.now = now
        self.broken: dict[UUID, str] = {}
        """Accounts on which nothing may be decided, and why."""
        self.ahead: dict[UUID, datetime] = {}
        """Accounts whose books are ahead of the clock, which was set back, and how far they are."""
        self.changed: dict[UUID, Account] = {}
        self.placed_holds: dict[UUID, HoldState] = {}
        self.changed_holds: dict[UUID, HoldState] = {}
        self.new_records: list[IdempotencyRecord] = []
        self.retried: list[tuple[UUID, bool]] = []
        self.new_reversals: list[tuple[UUID, UUID]] = []

    def compare_with_heads(self, account_ids: set[UUID]) -> None:
        """The inline read model must stand exactly where the streams end; deciding on anything else is unsafe."""
        for account_id in account_ids:
            state = self.accounts.get(account_id)
            head = self.append.head(account_id)
            version = head.version
            if head.last_timestamp > self.now:
                self.ahead[account_id] = head.last_timestamp
            if (state.version if state else 0) != version:
                self.broken[account_id] = (
                    f"account {account_id} stands at version {state.version if state else 0}, its stream at "
                    f"{version}: {MEND}"
                )

    def run(self, envelope: Envelope) -> Outcome:
        try:
            return self._replay(envelope) or self._decide(envelope)
        except Refusal as refusal:
            return Refused.because(refusal)
        except BrokenHistory as error:
            log.error("history_broken", command=type(envelope.command).__name__, error=str(error))
            return Broken.by(error)

    def _replay(self, envelope: Envelope) -> Executed | None:
        """The first answer, when the key has led to one."""
        if envelope.key is None:
            return None
        record = self.records.get(envelope.key.identity)
        if record is None:
            if envelope.key.identity in self.in_progress:
                raise Refusal(
                    ErrorCode.COMMAND_IN_PROGRESS,
                    "A command with this idempotency key is being executed. Ask again with the same key.",
                )
            return None
        same = record.key.fingerprint == envelope.key.fingerprint
        self.retried.append((record.command_id, same))
        if not same:
            raise Refusal(
                ErrorCode.IDEMPOTENCY_KEY_REUSED,
                "This idempotency key was used for another command. Nothing was done: choose a new key.",
                account_id=str(record.aggregate_id),
                transaction_id=str(record.command_id),
            )
        return Executed(record.command_id, record.result, replayed=True)

    def _decide(self, envelope: Envelope) -> Executed:
        """
        Raises:
            Refusal, BrokenHistory: nothing is changed by it.
        """
        command = envelope.command
        booked = _booked_for(envelope, self.booked)
        hold = self.holds.get(command.hold_id) if isinstance(command, ON_A_HOLD) else None
        subject = touched_accounts(command, booked, hold.account_id if hold else None)
        if self.broken:
            self._require_sound(subject)
        if envelope.expected_version is not None and subject and (hold or not isinstance(command, ON_A_HOLD)):
            self._require_version(subject[0], envelope.expected_version, envelope.custodian)
        for account_id, version in envelope.expected_versions.items():
            self._require_version(account_id, version, envelope.custodian)
        reversing = command.transaction_id if isinstance(command, ReverseTransaction) else None
        decision = decide(
            command,
            Facts(
                accounts=self.accounts,
                now=self.now,
                custodian=envelope.custodian,
                booked=booked,
                reversed_by=self.reversed_by.get(reversing) if reversing else None,
                hold=hold,
                ahead=max(map(self.ahead.get, subject, repeat(self.now))) if self.ahead and subject else None,
            ),
        )
        _require_balanced(decision)
        if self.tally and envelope.day_limit:
            self.tally.require_within(envelope.day_limit, envelope.context, decision)
        hold = self._take_effect(decision) or hold
        if self.tally:
            self.tally.add(envelope.context, decision)
        command_id = new_id()
        stamp = CommandStamp(command_id, self.now, canonical_json(envelope.context.metadata()))
        for account_id, event in decision:
            self.append.add(NewEvent(account_id, type(event).__name__, to_data(event)), stamp)
        if reversing is not None:
            self.reversed_by[reversing] = command_id
            self.new_reversals.append((reversing, command_id))
        executed = Executed(command_id, self._result(command_id, subject, envelope.custodian, hold))
        self._remember(envelope, executed, subject[0])
        return executed

    def _take_effect(self, decision: Decision) -> HoldState | None:
        """Brings the states to what the events make of them, all or none; the hold that they are about.

        Raises:
            BrokenHistory: an event does not fit the state that it was decided on.
        """
        states: dict[UUID, Account] = {}
        hold = None
        try:
            for account_id, event in decision:
                before = states.get(account_id) or self.accounts.get(account_id)
                state = states[account_id] = evolve(before, account_id, event)
                if isinstance(event, HOLD_EVENTS):
                    at = self.append.time_after(account_id, self.now)
                    hold = evolve_hold(self.holds.get(event.hold_id), account_id, state.version, at, event)
        except BrokenStream as broken:
            raise BrokenHistory(f"{broken}: {MEND}") from broken
        self.accounts |= states
        self.changed |= states
        if hold is not None:
            is_new = hold.id in self.placed_holds or hold.id not in self.holds
            rows = self.placed_holds if is_new else self.changed_holds
            self.holds[hold.id] = rows[hold.id] = hold
        return hold

    def _require_sound(self, account_ids: Sequence[UUID]) -> None:
        for account_id in account_ids:
            if account_id in self.broken:
                raise BrokenHistory(self.broken[account_id])

    def _require_version(self, account_id: UUID, expected: int, custodian: str | None) -> None:
        account = self.accounts.get(account_id)
        if account is None or (custodian is not None and account.custodian != custodian):
            return  # the rules will say that there is no such account
        if account.version != expected:
            raise Refusal(
                ErrorCode.VERSION_MISMATCH,
                f"The account is at version {account.version}, not {expected}. Read it again, then decide anew.",
                expected=expected,
                actual=account.version,
            )

    def _result(
        self, command_id: UUID, subject: Sequence[UUID], custodian: str | None, hold: HoldState | None
    ) -> dict[str, object]:
        """The answer; it tells a sender nothing of accounts that are not in its care. Its time is the one in the
        books of the command's own account, which is later than the clock where that was set back."""
        accounts = [self.accounts[account_id] for account_id in subject]
        result: dict[str, object] = {
            "transaction_id": str(command_id),
            "recorded_at": self.append.head(subject[0]).last_timestamp.isoformat(),
            "accounts": [
                {
                    "id": str(account.id),
                    "version": account.version,
                    "status": account.status.value,
                    "currency": account.currency,
                    "balance": account.balance,
                    "available": account.available,
                }
                for account in accounts
                if custodian is None or account.custodian == custodian
            ],
        }
        if hold is not None:
            result["hold"] = to_data(hold) | {"held": hold.held}
        return result

    def _remember(self, envelope: Envelope, executed: Executed, aggregate_id: UUID) -> None:
        if envelope.key is not None:
            record = IdempotencyRecord(envelope.key, executed.transaction_id, aggregate_id, executed.result)
            self.records[envelope.key.identity] = record
            self.new_records.append(record)

    def write(self, exchange: Exchange) -> None:
        """The second round trip."""
        if self.retried:
            count_retries(exchange, self.retried, self.now)
            self.retried = []
        if not len(self.append):
            return
        changed_at = [self.append.head(account_id).last_timestamp for account_id in self.changed]
        beside = [inline.upsert(list(self.changed.values()), changed_at)]
        if self.new_records:
            beside.append(insertion(self.new_records, self.now))
        if self.new_reversals:
            beside.append(inline.insert_reversals(self.new_reversals))
        if self.placed_holds:
            beside.append(inline.insert_holds(self.placed_holds.values()))
        if self.changed_holds:
            beside.append(inline.update_holds(self.changed_holds.values()))
        self.append.write(exchange, *beside)
        self.changed, self.placed_holds, self.changed_holds = {}, {}, {}
        self.new_records, self.new_reversals = [], []


def _require_balanced(decision: Decision) -> None:
    """What money is created or lost by a rule stops here, before it is written."""
    if broken := imbalances(event for _, event in decision if isinstance(event, Posting)):
        raise BrokenHistory(f"a transaction does not sum to zero: {broken}")
