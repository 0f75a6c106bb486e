"""Lists in pages: each goes on behind the last row of the one before, so that page 10,000 costs what page 1 does.

page = OldestVersionFirst(request, "status")                   # the other query parameters that the list knows
rows = page.of(queryset)
Response(page.body(Serializer(rows, many=True).data))
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.api.parameters import refuse_unknown_parameters
from accounts.domain.errors import ErrorCode, Refusal

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
PAGING = (
    OpenApiParameter(
        "cursor", OpenApiTypes.STR, description="`next_cursor` of the page before, with the same other parameters."
    ),
    OpenApiParameter(
        "page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
    ),
)
_NAME_LENGTH = 8


class KeysetPagination:
    """One page, by a unique column; `read` turns the text in a cursor into a value of it, or raises ValueError.

    A cursor names the list that it is of. That is against mistakes: it opens nothing that the list itself does not.
    """

    column: ClassVar[str]
    descending: ClassVar[bool]
    read: ClassVar[Callable[[str], Any]]

    def __init__(self, request: Request, *filters: str) -> None:
        """`filters` are the query parameters that the list knows besides.

        Raises:
            Refusal: `unknown_field`, `validation_failed`: a parameter, cursor or page size that cannot be.
        """
        refuse_unknown_parameters(request, *filters, *(parameter.name for parameter in PAGING))
        self._request = request
        self._list = _name_of(request)
        self._size = _page_size(request.query_params)
        cursor = request.query_params.get("cursor")
        self._after = None if cursor is None else self._decode(cursor)
        self._next: str | None = None

    def of(self, queryset: Any) -> list[Any]:
        """The rows of the page."""
        if self._after is not None:
            comparison = "lt" if self.descending else "gt"
            queryset = queryset.filter(**{f"{self.column}__{comparison}": self._after})
        rows = list(queryset.order_by(f"-{self.column}" if self.descending else self.column)[: self._size + 1])
        self._next = self._encode(rows[self._size - 1]) if len(rows) > self._size else None
        return rows[: self._size]

    def body(self, results: Any, **facts: Any) -> dict[str, Any]:
        """The body of an answer: the rows, where to go on, and `facts` beside them."""
        return {"results": results, "next": self._next_url(), "next_cursor": self._next, **facts}

    def _next_url(self) -> str | None:
        if self._next is None:
            return None
        query = {**self._request.query_params.dict(), "cursor": self._next}
        return f"{self._request.path}?{urlencode(query)}"

    def _encode(self, row: Model) -> str:
        text = self._list + str(getattr(row, self.column))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _decode(self, cursor: str) -> Any:
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
            if text[:_NAME_LENGTH] != self._list:
                raise ValueError("of another list")
            return type(self).read(text[_NAME_LENGTH:])
        except ValueError:
            raise Refusal(
                ErrorCode.VALIDATION_FAILED,
                "Take the cursor from `next_cursor` of the page before, of the same list with the same parameters.",
                field="cursor",
            ) from None


def _name_of(request: Request) -> str:
    """Stands for the list that is asked for: its path, and what it is narrowed by."""
    own = {parameter.name for parameter in PAGING}
    narrowed = sorted((name, value) for name, value in request.query_params.items() if name not in own)
    name = f"{request.path.rstrip('/')}?{urlencode(narrowed)}"
    return hashlib.sha256(name.encode()).hexdigest()[:_NAME_LENGTH]


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("page_size", str(DEFAULT_PAGE_SIZE))
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE_SIZE:
        return int(text)
    raise Refusal(ErrorCode.VALIDATION_FAILED, f"A page holds 1 to {MAX_PAGE_SIZE} rows.", field="page_size")


def _version(text: str) -> int:
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 1 <= version < 2**63:
        raise ValueError("not a version")
    return version


class NewestFirst(KeysetPagination):
    """Ids sort by the time of their making."""

    column, descending, read = "id", True, UUID


class OldestVersionFirst(KeysetPagination):
    column, descending, read = "version", False, _version


class NewestVersionFirst(KeysetPagination):
    column, descending, read = "version", True, _version
