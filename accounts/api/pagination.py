"""Lists in pages: each goes on behind the last row of the one before, so that page 10,000 costs what page 1 does."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.domain.errors import ErrorCode, Refusal

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


class KeysetPagination(BasePagination):
    """Pages by a unique column; `read` turns the text in a cursor into a value of it, or raises ValueError."""

    column: ClassVar[str]
    descending: ClassVar[bool]
    read: ClassVar[Callable[[str], Any]]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """
        Raises:
            Refusal: `validation_failed` for a cursor or page size that cannot be.
        """
        size = _page_size(request.query_params)
        if cursor := request.query_params.get("cursor"):
            comparison = "lt" if self.descending else "gt"
            queryset = queryset.filter(**{f"{self.column}__{comparison}": self._decode(cursor)})
        rows = list(queryset.order_by(f"-{self.column}" if self.descending else self.column)[: size + 1])
        self._next = self._encode(rows[size - 1]) if len(rows) > size else None
        self._request = request
        return rows[:size]

    def page(self, results: Any, **facts: Any) -> dict[str, Any]:
        """The body of an answer: the rows, where to go on, and `facts` beside them."""
        return {"results": results, "next": self._next_url(), "next_cursor": self._next, **facts}

    def get_paginated_response(self, data: Any) -> Response:
        return Response(self.page(data))

    def _next_url(self) -> str | None:
        if self._next is None:
            return None
        query = {**self._request.query_params.dict(), "cursor": self._next}
        return f"{self._request.path}?{urlencode(query)}"

    def _encode(self, row: Model) -> str:
        return base64.urlsafe_b64encode(str(getattr(row, self.column)).encode()).decode().rstrip("=")

    def _decode(self, cursor: str) -> Any:
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
            return type(self).read(text)
        except (ValueError, binascii.Error):
            raise Refusal(
                ErrorCode.VALIDATION_FAILED, "Take the cursor from `next_cursor` of the page before.", field="cursor"
            ) from None


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


class NewestAccountsFirst(KeysetPagination):
    """Ids of accounts sort by the time of their opening."""

    column, descending, read = "id", True, UUID


class OldestVersionFirst(KeysetPagination):
    column, descending, read = "version", False, _version


class NewestVersionFirst(KeysetPagination):
    column, descending, read = "version", True, _version
