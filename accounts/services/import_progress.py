"""How far an import is: its row, written after each chunk."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services.envelope import Refused
from accounts.services.import_lines import START

WAITS = (0.1, 0.3, 1.0, 2.0)
"""Seconds between the tries to execute a chunk, or to write down how far it went."""
MOST_TEXT = 500
"""Characters kept of each text of a refusal: it may repeat what a client sent."""


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


def write(record: Import, taken: Taken) -> None:
    """Moves `record` behind the chunk, in one transaction with its refusals.

    Raises:
        Refusal: `overloaded`, it could not be written; `import_in_progress`, somebody else moved it meanwhile.
    """
    for wait in (*WAITS, None):
        try:
            _write_once(record, taken)
        except (OperationalError, InterfaceError):
            connection.close_if_unusable_or_obsolete()
            if wait is None:
                raise refuse(
                    record, ErrorCode.OVERLOADED, f"The database takes no more. Go on after line {record.position}."
                ) from None
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
    try:
        with transaction.atomic():
            if record.pk is None:
                pk = Import.objects.create(scope=record.scope, key=record.key, **values).pk
            elif Import.objects.filter(pk=record.pk, position=record.position, finished_at=None).update(**values):
                pk = record.pk
            else:
                _require_written(record, taken)
                pk = record.pk
                taken = taken._replace(refusals=())
            ImportRefusal.objects.bulk_create(_row(pk, line, why) for line, why in taken.refusals)
    except IntegrityError:
        raise _moved(record) from None
    record.pk = pk
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
