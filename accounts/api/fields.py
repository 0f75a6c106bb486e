"""Serializer fields that take what they document and nothing that merely looks like it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.fields import get_attribute

from accounts.domain.errors import ErrorCode
from accounts.domain.money import format_minor

KEY_PATTERN = r"[\x21-\x7e]{1,255}"
AMOUNT_PATTERN = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$"
LIKE = 0.6
"""How like the name of a field a wrong one must be for it to be suggested."""
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})")


class StrictSerializer(serializers.Serializer[Any]):
    """A body whose every field is known: a misspelt name is an error, not an omission."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        if not unknown:
            return super().to_internal_value(data)
        errors: dict[str, Any] = {name[:60]: [_unknown(name, self.fields)] for name in unknown[:10]}
        try:
            super().to_internal_value(data)
        except ValidationError as others:
            errors |= dict(others.detail)  # type: ignore[arg-type]  # a serializer's detail is a dict
        raise ValidationError(errors)


def _unknown(name: str, known: Iterable[str]) -> ErrorDetail:
    return ErrorDetail(f"There is no such field.{did_you_mean(name, known)}", code=ErrorCode.UNKNOWN_FIELD)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ends a sentence about a wrong name with the known one that is most like it, where one is like it at all."""
    marks = _marks(name[:30])
    likeness, meant = max(((_likeness(marks, _marks_of_known(each)), each) for each in known), default=(0.0, ""))
    return f" Did you mean {meant}?" if likeness >= LIKE else ""


def _marks(name: str) -> frozenset[str]:
    """The letters of a name, and its pairs of letters."""
    return frozenset(name).union(map(str.__add__, name, name[1:]))


_marks_of_known = lru_cache(maxsize=256)(_marks)


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Dice's coefficient: from 0 (nothing in common) to 1. For a batch of nonsense difflib would take seconds."""
    return 2 * len(one & other) / (len(one) + len(other))


class TextField(serializers.CharField):
    """A JSON string, as it was sent: numbers are not turned into text, white space stays."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]})
class CurrencyField(TextField):
    """An ISO 4217 code; the domain says which exist."""


@extend_schema_field({"type": "string", "pattern": AMOUNT_PATTERN, "examples": ["12.50"]})
class AmountField(serializers.Field[Any, Any, Any, Any]):
    """A decimal string, passed on as it is: `accounts.domain.money` reads it, knowing the currency."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class IdField(serializers.UUIDField):
    """A UUID as a string in its usual form."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str) or len(data) != 36:
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": f"^{KEY_PATTERN}$"})
class KeyField(TextField):
    """An idempotency key: 1 to 255 visible ASCII characters."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(KEY_PATTERN, text):
            raise ValidationError("A key is 1 to 255 visible ASCII characters.")
        return text


class VersionField(serializers.IntegerField):
    """A JSON integer from 1 on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


def read_moment(text: str) -> datetime:
    """A moment as RFC 3339 writes it, with Z or an offset, in UTC.

    Raises:
        ValueError: it is none.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("not RFC 3339")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


@extend_schema_field({"type": "string", "format": "date-time"})
class MomentField(TextField):
    """A moment as RFC 3339 writes it."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return read_moment(super().to_internal_value(data))
        except ValueError:
            raise ValidationError("Write it as RFC 3339 with Z or an offset, such as 2026-01-31T12:00:00Z.") from None


class FlagField(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["1025.00"]})
class MinorUnitsField(serializers.Field[Any, Any, str, Any]):
    """Minor units of the `currency` beside it, written as a decimal string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def get_attribute(self, instance: Any) -> tuple[int, str]:
        minor: Any = super().get_attribute(instance)
        return minor, get_attribute(instance, ["currency"])

    def to_representation(self, value: tuple[int, str]) -> str:
        return format_minor(*value)
