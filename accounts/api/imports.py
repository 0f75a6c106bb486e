"""`POST /imports`: a file of commands, one a line, of any length; it goes on where it stopped."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ApiView, body_of
from accounts.api.commands import REPLAYED
from accounts.api.documentation import IMPORT_KEY, documents_import, documents_read
from accounts.api.headers import api_key_of, client_of, context_of, refuse_if_match
from accounts.api.items import COMMAND_SCOPES, ITEMS, Reader, Sender
from accounts.api.pagination import PAGING, KeysetPagination
from accounts.api.parameters import refuse_unknown_parameters
from accounts.api.parsers import LinesParser, read_object
from accounts.api.problems import problem_of
from accounts.api.representations import PageSerializer, ProblemSerializer, TimeField
from accounts.api.uploads import pass_over, pieces_of
from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services import Envelope, Refused
from accounts.services import imports as service
from accounts.services.imports import ImportKey
from ops.access.keys import InvalidKey, bearer_token, check_token
from ops.admin.keyset import position
from ops.conf import get_settings
from ops.models import ApiKey

FIRST_REFUSALS = 20
KEY_IS_CHECKED_EVERY = 1.0
"""Seconds: a key that is revoked ends an import that is under way."""
IMPORT_KEY_PATTERN = r"[A-Za-z0-9._:~-]{1,200}"
"""What stands in a path as it is."""


def line_reader(sender: Sender) -> Callable[[bytes, int], Envelope | Refused]:
    """How `accounts.services.imports` has the lines of `sender` read."""
    reader = Reader(sender)

    def read(raw: bytes, number: int) -> Envelope | Refused:
        try:
            item = read_object(raw)
        except ParseError as error:
            told = str(error.detail).replace("body", "line", 1)
            return Refused(ErrorCode.MALFORMED_REQUEST, told)
        return reader.read(item, number)

    return read


class RefusalSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="Number of the line in the file, from 1 on.")
    problem = ProblemSerializer()


class ImportSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    position = serializers.IntegerField(help_text="Lines of the file that were taken, blank ones included.")
    executed = serializers.IntegerField()
    refused = serializers.IntegerField()
    finished = serializers.BooleanField(help_text="The end of the file was taken.")
    started_at = TimeField()
    updated_at = TimeField()
    refusals = RefusalSerializer(many=True, help_text=f"The first {FIRST_REFUSALS}; all are a list of their own.")


class RefusalPageSerializer(PageSerializer):
    results = RefusalSerializer(many=True)


class ByLine(KeysetPagination):
    column, descending, read = "line", False, position


class Imports(ApiView):
    """Takes a file as it comes: lines are executed in order, some hundred in a transaction."""

    parser_classes = [LinesParser]
    required_scopes = {"POST": COMMAND_SCOPES}

    @documents_import(ImportSerializer, ITEMS)
    def post(self, request: Request) -> Response:
        refuse_if_match(request, "give a line its expected_version")
        refuse_unknown_parameters(request, "after")
        name = ImportKey(client_of(request).actor, _usable_key(request.headers.get("Idempotency-Key", "")))
        sender = Sender.of_client(client_of(request), api_key_of(request).scopes, name.key, context_of(request))
        pieces = _pieces(request)
        after = taken = _after(request)

        def note(position: int) -> None:
            nonlocal taken
            taken = position

        try:
            record, replayed = service.run(
                name,
                _while_key_is_good(request, pieces),
                line_reader(sender),
                actor=sender.context.actor,
                after=after,
                progress=note,
                has_reach=lambda: _good_key(request).client.custodian == sender.reach,
            )
        except Refusal:
            pass_over(pieces)
            raise
        except AuthenticationFailed as error:
            pass_over(pieces)
            raise AuthenticationFailed(f"{error.detail} Lines up to {taken} were taken.") from None
        try:
            body = represented(record)
        except (OperationalError, InterfaceError):
            raise service.interrupted(record, "The database gave no answer in time.") from None
        return Response(body, headers={REPLAYED: "true"} if replayed else {})


class ImportDetail(ApiView):
    """How far an import of the calling client is."""

    required_scopes = {"GET": COMMAND_SCOPES}

    @documents_read(
        "get_import",
        ImportSerializer,
        summary="Get the progress of an import",
        tag="imports",
        codes=(ErrorCode.IMPORT_NOT_FOUND,),
        parameters=(IMPORT_KEY,),
    )
    def get(self, request: Request, key: str) -> Response:
        refuse_unknown_parameters(request)
        return Response(represented(_found(request, key)))


class ImportRefusals(ApiView):
    """The lines of an import that were refused, in order."""

    required_scopes = {"GET": COMMAND_SCOPES}

    @documents_read(
        "list_import_refusals",
        RefusalPageSerializer,
        summary="List the refused lines of an import",
        tag="imports",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.IMPORT_NOT_FOUND),
        parameters=(IMPORT_KEY, *PAGING),
    )
    def get(self, request: Request, key: str) -> Response:
        page = ByLine(request)
        rows = page.of(_found(request, key).refusals.all())
        return Response(page.body([_refusal(row) for row in rows]))


def represented(record: Import) -> dict[str, Any]:
    """An import as `ImportSerializer` documents it."""
    return {
        "key": record.key,
        "position": record.position,
        "executed": record.executed,
        "refused": record.refused,
        "finished": record.finished_at is not None,
        "started_at": TimeField().to_representation(record.started_at),
        "updated_at": TimeField().to_representation(record.updated_at),
        "refusals": [_refusal(row) for row in record.refusals.order_by("line")[:FIRST_REFUSALS]],
    }


def _refusal(row: ImportRefusal) -> dict[str, Any]:
    refused = Refused(ErrorCode(row.code), row.message, row.field or None, row.extra)
    return {"line": row.line, "problem": problem_of(refused)}


def _found(request: Request, key: str) -> Import:
    record = service.found(ImportKey(client_of(request).actor, key)) if "\x00" not in key else None
    if record is None:
        raise Refusal(ErrorCode.IMPORT_NOT_FOUND, "There is no import with this key.")
    return record


def _usable_key(key: str) -> str:
    if not re.fullmatch(IMPORT_KEY_PATTERN, key):
        raise Refusal(
            ErrorCode.IDEMPOTENCY_KEY_REQUIRED,
            "An import needs the header Idempotency-Key: 1 to 200 letters, digits and . _ : ~ -, such as a UUID.",
        )
    return key


def _after(request: Request) -> int:
    text = request.query_params.get("after", "0")
    try:
        return position(text)
    except ValueError:
        raise Refusal(
            ErrorCode.VALIDATION_FAILED, "This is the number of lines that were taken before.", field="after"
        ) from None


def _pieces(request: Request) -> Iterable[bytes]:
    body = body_of(request)
    if not hasattr(body, "read"):
        return ()  # DRF's word for a body of no bytes
    length = int(request.META["CONTENT_LENGTH"])
    return pieces_of(body, length, time_limit=get_settings().import_time_limit)


def _while_key_is_good(request: Request, pieces: Iterable[bytes]) -> Iterator[bytes]:
    checked = time.monotonic()
    for piece in pieces:
        if time.monotonic() - checked > KEY_IS_CHECKED_EVERY:
            checked = time.monotonic()
            _good_key(request)
        yield piece


def _good_key(request: Request) -> ApiKey:
    """The key that the request came with, as it is now.

    Raises:
        AuthenticationFailed: it opens nothing any more.
    """
    try:
        return check_token(bearer_token(request.META) or "")
    except InvalidKey as error:
        raise AuthenticationFailed(str(error)) from None
