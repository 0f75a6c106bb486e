"""Bodies of the most frequent commands that are plainly right, read without a serializer.

It gives what the command's serializer would give, or None: then the serializer is to judge, and to say what is wrong.
So there is one set of rules for what is refused, and a quick way for what need not be.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from accounts.api.bodies import CONTRA_CHOICES
from accounts.domain.requirements import MAX_DESCRIPTION_LENGTH

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(ID, re.ASCII)


class _Shape(NamedTuple):
    """The names that a body must have, and all that it may have."""

    required: frozenset[str]
    known: frozenset[str]


_AMOUNT = frozenset({"amount", "currency"})
_TRANSFER = _AMOUNT | {"target_account_id"}
_SHAPES = {
    "deposit": _Shape(_AMOUNT, _AMOUNT | {"description", "contra"}),
    "withdraw": _Shape(_AMOUNT, _AMOUNT | {"description", "contra"}),
    "transfer": _Shape(_TRANSFER, _TRANSFER | {"description"}),
}


def plain_id(value: object) -> UUID | None:
    """An id in lower case with its hyphens."""
    return UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else None


def plain_fields(command: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a deposit, withdrawal or transfer as its serializer would give them; None for anything else."""
    shape = _SHAPES.get(command)
    if shape is None or not shape.required <= data.keys() <= shape.known:
        return None
    for value in data.values():
        if type(value) is not str:
            return None
    fields: dict[str, Any] = {"description": "", "contra": "cash", **data}
    description = fields["description"]
    if description and (len(description) > MAX_DESCRIPTION_LENGTH or not description.isprintable()):
        return None
    if fields["contra"] not in CONTRA_CHOICES:
        return None
    if command == "transfer":
        fields["target_account_id"] = plain_id(fields["target_account_id"])
        if fields["target_account_id"] is None:
            return None
    return fields
