"""Interest, booked once a month: first it is reckoned what each account is due, then each due is booked.

What a month comes to is written down before any of it is booked, and does not change from then on. A due is a deposit
or withdrawal against the bank's account `interest`, by the one executor, with a key of its own. It says since when it
may be in the books; whoever finds it so asks the books themselves, since keys are forgotten in time. So a due is
booked once, however often this is run and wherever it dies.

What is refused stays due and is tried again at each run: a frozen account, or one that cannot pay what it owes. A
closed account takes no more postings: its dues lapse.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts import models
from accounts.domain.commands import Deposit, InternalAccount, Withdraw
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.interest import Kind, booked, exact_sums
from accounts.domain.money import Money
from accounts.interest import months_with_rates, require_over, spans_of
from accounts.models import Interest, InterestMonth, InterestRate
from accounts.services.envelope import Envelope, Executed, Outcome, idempotency_key
from accounts.services.executor import execute
from eventstore import store
from eventstore.events import Context
from eventstore.models import Event
from ops.database.locks import session_lock
from ops.operations import step

ACTOR = "system:interest"
PREFIX = "interest:"
"""What the events of a due were caused by: this and its id."""
ACCOUNTS_AT_ONCE = 1000
"""Accounts that are reckoned with one statement."""
BOOKED_AT_ONCE = 200
"""Dues booked in one transaction."""
_COMMANDS: dict[str, type[Deposit] | type[Withdraw]] = {Kind.EARNED: Deposit, Kind.OWED: Withdraw}
_NOTE = """
    UPDATE interest i
       SET status = n.status, tried_at = NULL, transaction_id = n.transaction_id, code = n.code, message = n.message,
           settled_at = CASE WHEN n.status = 'due' THEN NULL ELSE clock_timestamp() END
      FROM unnest(%s::bigint[], %s::text[], %s::uuid[], %s::text[], %s::text[])
           AS n (id, status, transaction_id, code, message)
     WHERE i.id = n.id
"""


class _Became(NamedTuple):
    """Of a due, as it is written down."""

    id: int
    status: Interest.Status
    transaction_id: UUID | None = None
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Run:
    """What one run did. `left`: dues that were refused and are tried again."""

    reckoned: Sequence[date] = ()
    booked: int = 0
    left: int = 0
    lapsed: int = 0

    def told(self) -> list[str]:
        """For people, a line for each thing."""
        months = ", ".join(f"{month:%Y-%m}" for month in self.reckoned)
        lines = [f"Months reckoned: {months or 'none'}.", f"Booked: {self.booked}."]
        if self.left:
            lines.append(f"Refused, and tried again at the next run: {self.left}.")
        if self.lapsed:
            lines.append(f"Lapsed, since their accounts are closed: {self.lapsed}.")
        return lines


def book_interest(progress: Callable[[int, int], None] = lambda done, of: None) -> Run:
    """Reckons each month that is over and was not, and books all that is due.

    Raises:
        Refusal: `command_in_progress`: another run is at it. `validation_failed`: a month that is over cannot be
            reckoned yet; what was due before is booked.
        StoreBusy, OutcomeUnknown: what is left is booked by the next run.
    """
    with session_lock("interest") as own:
        if not own:
            raise Refusal(ErrorCode.COMMAND_IN_PROGRESS, "Interest is being booked. Nothing was done by this run.")
        run, not_yet = Run(), None
        try:
            run.reckoned = _reckon_months()
        except Refusal as refusal:
            not_yet = refusal
        _book(run, progress)
        if not_yet is not None:
            raise not_yet
        return run


def due() -> QuerySet[Interest]:
    """What is to be booked, oldest first."""
    return Interest.objects.filter(status=Interest.Status.DUE).order_by("id")


def to_reckon() -> list[date]:
    """The months that are over, had a rate, and are not reckoned yet."""
    reckoned = set(InterestMonth.objects.values_list("month", flat=True))
    return [month for month in months_with_rates() if month not in reckoned]


def planned() -> list[str]:
    """What a run would do now, a line for each thing."""
    months = ", ".join(f"{month:%Y-%m}" for month in to_reckon())
    return [f"Months to be reckoned: {months or 'none'}.", f"Due now, and to be booked: {due().count()}."]


def _reckon_months() -> list[date]:
    months = to_reckon()
    for month in months:
        require_over(month)
        reckon(month)
    return months


def reckon(month: date) -> None:
    """Writes down what each account is due for a month that is over. Begun anew after a break it finds the same."""
    step(f"reckoning {month:%Y-%m}")
    after: UUID | None = None
    while accounts := _accounts(after):
        spans = spans_of(accounts, month)
        Interest.objects.bulk_create(
            (
                Interest(account_id=account_id, month=month, kind=kind, currency=currency, exact=exact, amount=amount)
                for account_id, currency in accounts.items()
                for kind, exact in exact_sums(spans.get(account_id, ())).items()
                if (amount := booked(exact))
            ),
            ignore_conflicts=True,
        )
        after = max(accounts)
    InterestMonth.objects.create(month=month, reckoned_at=timezone.now())


def _accounts(after: UUID | None) -> dict[UUID, str]:
    """The currencies of the next accounts of products that have rates."""
    accounts = models.Account.objects.filter(product__in=InterestRate.objects.values("product")).order_by("id")
    if after is not None:
        accounts = accounts.filter(id__gt=after)
    return dict(accounts.values_list("id", "currency")[:ACCOUNTS_AT_ONCE])


def _book(run: Run, progress: Callable[[int, int], None]) -> None:
    step("booking")
    total, done, after = due().count(), 0, 0
    while dues := list(due().filter(id__gt=after)[:BOOKED_AT_ONCE]):
        found = _look_up([each for each in dues if each.tried_at])
        _write(found, run)
        noted = {became.id for became in found}
        _book_some([each for each in dues if each.pk not in noted], run)
        done, after = done + len(dues), dues[-1].pk
        progress(min(done, total), total)


def _look_up(dues: Sequence[Interest]) -> list[_Became]:
    """Of dues whose outcome nobody wrote down, those that are in the books after all."""
    found = []
    for each in dues:
        assert each.tried_at is not None
        before = store.version_at(each.account_id, each.tried_at)
        since = Event.objects.filter(aggregate_id=each.account_id, version__gt=before)
        if event := since.filter(metadata__causation_id=_name(each)).order_by("version").first():
            found.append(_Became(each.pk, Interest.Status.BOOKED, event.command_id))
    return found


def _book_some(dues: Sequence[Interest], run: Run) -> None:
    Interest.objects.filter(pk__in=[each.pk for each in dues], tried_at=None).update(tried_at=Now())
    outcomes = execute([_envelope(each) for each in dues])
    _write([_became(each, outcome) for each, outcome in zip(dues, outcomes, strict=True)], run)


def _envelope(each: Interest) -> Envelope:
    command = _COMMANDS[each.kind](
        each.account_id,
        Money(each.amount, each.currency),
        contra=InternalAccount.INTEREST,
        description=str(each).capitalize(),
    )
    name = _name(each)
    context = Context(actor=ACTOR, source="command", reason=str(each), causation_id=name)
    return Envelope(command, context, key=idempotency_key(scope=ACTOR, key=name, command=command))


def _name(each: Interest) -> str:
    """Names a due in the books."""
    return f"{PREFIX}{each.pk}"


def _became(each: Interest, outcome: Outcome) -> _Became:
    if isinstance(outcome, Executed):
        return _Became(each.pk, Interest.Status.BOOKED, outcome.transaction_id)
    status = Interest.Status.LAPSED if outcome.code == ErrorCode.ACCOUNT_CLOSED else Interest.Status.DUE
    return _Became(each.pk, status, code=outcome.code, message=outcome.message)


def _write(became: Sequence[_Became], run: Run) -> None:
    """Notes what became of dues: of none it is left open whether it is in the books."""
    if became:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [list(column) for column in zip(*became, strict=True)])
    counts = Counter(each.status for each in became)
    run.booked += counts[Interest.Status.BOOKED]
    run.left += counts[Interest.Status.DUE]
    run.lapsed += counts[Interest.Status.LAPSED]
