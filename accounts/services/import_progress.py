"""How far an import is: its row, written before and after each chunk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services.envelope import Refused
from accounts.services.import_lines import START
from ops.conf import get_settings

WAITS = (0.1, 0.3, 1.0, 2.0)
"""Seconds between the tries to execute a chunk, or to write down how far it went."""
MOST_TEXT = 500
"""Characters kept of each text of a refusal: it may repeat what a client sent."""
MARGIN = timedelta(hours=1)
"""Before the end of IDEMPOTENCY_RETENTION_HOURS: keys are not relied on any more, since a chunk takes its time."""


@dataclass(frozen=True, slots=True)
class ImportKey:
    """Names an import: the key among those of `scope`."""

    scope: str
    key: str


class Taken(NamedTuple):
    """What became of a chunk: the position and digest after it, and its lines."""

    position: int
    digest: bytes
    executed: int
    refusals: Sequence[tuple[int, Refused]]
    is_last: bool


def found(name: ImportKey) -> Import | None:
    return Import.objects.filter(scope=name.scope, key=name.key).first()


def begun(name: ImportKey) -> Import:
    """The import as it stands; one of which no line was taken has no row yet."""
    return found(name) or Import(scope=name.scope, key=name.key, position=0, digest=START, executed=0, refused=0)


def told(record: Import) -> dict[str, Any]:
    """Where it stands, for a refusal."""
    return {"position": record.position, "executed": record.executed, "refused": record.refused}


def refuse(record: Import, code: ErrorCode, message: str) -> Refusal:
    """A refusal that tells where the import stands."""
    return Refusal(code, message, **told(record))


def interrupted(record: Import, why: str) -> Refusal:
    """The refusal of an import that may be partly executed, and can be gone on with."""
    return refuse(record, ErrorCode.IMPORT_INTERRUPTED, f"{why} Go on after line {record.position}.")


def announce(record: Import, to: int) -> None:
    """Writes down that a chunk is about to be executed: from now on lines up to `to` may have been.

    Raises:
        Refusal: as `write`; `import_outcome_unknown`, lines were begun before whose keys may be forgotten by now.
    """
    now = timezone.now()
    began = record.tried_at if record.tried_at and record.tried_to > record.position else now
    if began < now - timedelta(hours=get_settings().idempotency_retention_hours) + MARGIN:
        raise refuse(
            record,
            ErrorCode.IMPORT_OUTCOME_UNKNOWN,
            f"Lines {record.position + 1} to {record.tried_to} were begun at {began:%Y-%m-%d %H:%M:%S} UTC. Which of "
            "them were executed is not known: their keys are not remembered for so long. Nothing was done.",
        )
    _insist(record, lambda: _announce_once(record, max(record.tried_to, to), began))


def _announce_once(record: Import, to: int, began: datetime) -> None:
    if record.pk is None:
        none = {"position": 0, "digest": START, "executed": 0, "refused": 0}
        record.pk = Import.objects.get_or_create(scope=record.scope, key=record.key, defaults=none)[0].pk
    here = Import.objects.filter(pk=record.pk, position=record.position, finished_at=None)
    if not here.update(tried_to=to, tried_at=began, updated_at=timezone.now()):
        raise _moved(record)
    record.tried_to, record.tried_at = to, began


def write(record: Import, taken: Taken) -> None:
    """Moves `record` behind the chunk, in one transaction with its refusals.

    Raises:
        Refusal: `import_interrupted`, it could not be written; `import_in_progress`, somebody else moved it.
    """
    _insist(record, lambda: _write_once(record, taken))


def _insist(record: Import, once: Callable[[], None]) -> None:
    for wait in (*WAITS, None):
        try:
            once()
        except (OperationalError, InterfaceError):
            connection.close_if_unusable_or_obsolete()
            if wait is None:
                raise interrupted(record, "The database takes no more.") from None
            time.sleep(wait)
        else:
            return


def _write_once(record: Import, taken: Taken) -> None:
    now = timezone.now()
    values = {
        "position": taken.position,
        "digest": taken.digest,
        "executed": record.executed + taken.executed,
        "refused": record.refused + len(taken.refusals),
        "finished_at": now if taken.is_last else None,
        "updated_at": now,
    }
    with transaction.atomic():
        if Import.objects.filter(pk=record.pk, position=record.position, finished_at=None).update(**values):
            ImportRefusal.objects.bulk_create(_row(record.pk, line, why) for line, why in taken.refusals)
        else:
            _require_written(record, taken)
    record.refresh_from_db()


def _row(import_id: int, line: int, why: Refused) -> ImportRefusal:
    message, extra = _storable(why.message), _storable(why.extra)
    return ImportRefusal(
        of_id=import_id, line=line, code=why.code, message=message, field=why.field or "", extra=extra
    )


def _storable(value: Any) -> Any:
    """JSON-ready `value` as PostgreSQL takes it: NUL replaced, texts cut."""
    if isinstance(value, str):
        return value[:MOST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    return [_storable(each) for each in value] if isinstance(value, list) else value


def _require_written(record: Import, taken: Taken) -> None:
    """It may be a write of our own, whose answer was lost."""
    now = Import.objects.filter(pk=record.pk).first()
    if now is None or (now.position, bytes(now.digest)) != (taken.position, taken.digest):
        raise _moved(record)


def _moved(record: Import) -> Refusal:
    return refuse(record, ErrorCode.IMPORT_IN_PROGRESS, "Another request goes on with this import. Nothing is lost.")
