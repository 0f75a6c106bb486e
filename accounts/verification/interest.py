"""Interest and the books: what is called booked is there, once, with that amount; and nothing else is."""

from collections.abc import Iterator, Sequence

from django.db import connection

from accounts.models import Interest
from accounts.services.interest import ACTOR, PREFIX
from eventstore.events import StoredEvent

_WITHOUT_EVENT = """
    SELECT i.id, i.transaction_id
      FROM interest i
     WHERE i.status = 'booked'
       AND NOT EXISTS (
               SELECT FROM events e
                WHERE e.command_id = i.transaction_id AND e.aggregate_id = i.account_id
                  AND e.metadata ->> 'causation_id' = %s || i.id
           )
     ORDER BY i.id
"""


def differences_of(events: Sequence[StoredEvent]) -> Iterator[str]:
    """Where postings that booked interest are not what is due. One whose due says that it was tried is not noted down
    yet."""
    booked = [(stored, _due_of(stored)) for stored in events if stored.metadata.get("actor") == ACTOR]
    dues = Interest.objects.in_bulk([number for _, number in booked if number is not None]) if booked else {}
    for stored, number in booked:
        due = dues.get(number) if number is not None else None
        if due is None:
            yield f"interest: transaction {stored.command_id} books what nobody was due"
        elif (due.account_id, due.currency, due.signed) != (
            stored.aggregate_id,
            stored.data["currency"],
            stored.data["amount"],
        ):
            yield f"interest: transaction {stored.command_id} is not what row {due.pk} is due"
        elif due.transaction_id != stored.command_id and due.tried_at is None:
            yield f"interest: row {due.pk} is booked by transaction {stored.command_id}, and knows nothing of it"


def without_event() -> Iterator[str]:
    """Dues that are called booked, and are not in the books."""
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_EVENT, (PREFIX,))
        for number, transaction_id in cursor.fetchall():
            yield f"interest: row {number} is called booked, and transaction {transaction_id} does not book it"


def _due_of(stored: StoredEvent) -> int | None:
    number = str(stored.metadata.get("causation_id", "")).removeprefix(PREFIX)
    return int(number) if number.isdecimal() else None
