"""The routes that only read."""

import re
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from uuid import UUID

from django.utils import timezone
from django.utils.http import parse_etags
from django_filters.utils import translate_validation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors
from accounts.api.base import ApiView
from accounts.api.documentation import IF_NONE_MATCH, documents_read
from accounts.api.fields import read_moment
from accounts.api.filters import AccountFilter
from accounts.api.headers import client_of, etag
from accounts.api.pagination import PAGING, NewestFirst, NewestVersionFirst, OldestVersionFirst
from accounts.api.parameters import refuse_unknown_parameters
from accounts.api.representations import (
    AccountPageSerializer,
    AccountSerializer,
    BalanceSerializer,
    EventPageSerializer,
    EventSerializer,
    HoldPageSerializer,
    HoldSerializer,
    PostingPageSerializer,
    PostingSerializer,
    StatementSerializer,
    TransactionSerializer,
    balance_now,
)
from accounts.api.scopes import ACCOUNTS_READ
from accounts.domain.account import Status
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.holds import HoldStatus
from accounts.domain.products import PRODUCTS
from accounts.statement import LONGEST, statement

READ = {"GET": (ACCOUNTS_READ,)}
MIN_VERSION = OpenApiParameter(
    "min_version",
    {"type": "integer", "minimum": 1},
    description=(
        "A version of the account that you have seen, such as that of your last command's answer. This answer is at "
        "that version or a later one, comes sooner, and may lack what others did in the last seconds."
    ),
)


class AccountList(ApiView):
    """Accounts in the client's care, newest first."""

    required_scopes = READ

    @documents_read(
        "list_accounts",
        AccountPageSerializer,
        summary="List accounts",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED,),
        parameters=(
            OpenApiParameter("status", OpenApiTypes.STR, enum=[status.value for status in Status]),
            OpenApiParameter("currency", OpenApiTypes.STR, description="ISO 4217 code."),
            OpenApiParameter("product", OpenApiTypes.STR, enum=sorted(PRODUCTS)),
            OpenApiParameter("owner", OpenApiTypes.STR, description="The owner, letter for letter."),
            *PAGING,
        ),
    )
    def get(self, request: Request) -> Response:
        page = NewestFirst(request, *AccountFilter.base_filters)
        picked = AccountFilter(request.query_params, selectors.accounts(client_of(request).custodian))
        if not picked.is_valid():
            raise translate_validation(picked.errors)
        rows = page.of(picked.qs)
        return Response(page.body(AccountSerializer(rows, many=True).data))


class AccountDetail(ApiView):
    """One account as it stands."""

    required_scopes = READ

    @documents_read(
        "get_account",
        AccountSerializer,
        summary="Get an account",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND),
        parameters=(
            IF_NONE_MATCH,
            MIN_VERSION,
            OpenApiParameter(
                "ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=["200", "304"], description="Its version."
            ),
        ),
        responses={304: OpenApiResponse(description="The account is still at that version.")},
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        refuse_unknown_parameters(request, "min_version")
        account = selectors.account(account_id, client_of(request).custodian, at_least=_min_version(request))
        tag = etag(account.version)
        known = [known.removeprefix("W/") for known in parse_etags(request.headers.get("If-None-Match", ""))]
        if tag in known or known == ["*"]:
            return Response(status=304, headers={"ETag": tag})
        return Response(AccountSerializer(account).data, headers={"ETag": tag})


class AccountBalance(ApiView):
    """Ledger and available balance, now or at a moment in the past."""

    required_scopes = READ

    @documents_read(
        "get_balance",
        BalanceSerializer,
        summary="Get the balance, now or at a moment",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND, ErrorCode.ACCOUNT_NOT_YET_OPENED),
        parameters=(
            OpenApiParameter(
                "at",
                OpenApiTypes.DATETIME,
                description="RFC 3339 with an offset, not in the future: what had been recorded until then counts.",
            ),
            MIN_VERSION,
        ),
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        refuse_unknown_parameters(request, "at", "min_version")
        custodian = client_of(request).custodian
        min_version = _min_version(request)
        if "at" in request.query_params:
            if min_version is not None:
                raise Refusal(ErrorCode.VALIDATION_FAILED, "It has no meaning beside at.", field="min_version")
            moment = _moment(request.query_params["at"])
            state = selectors.account_at(account_id, moment, custodian)
            return Response(BalanceSerializer(state, context={"as_of": moment}).data)
        account = selectors.account(account_id, custodian, at_least=min_version)
        return Response(balance_now(account, timezone.now()))


def _min_version(request: Request) -> int | None:
    text = request.query_params.get("min_version")
    if text is None:
        return None
    if re.fullmatch(r"[1-9][0-9]{0,17}", text):
        return int(text)
    raise Refusal(ErrorCode.VALIDATION_FAILED, "Write a version, such as 3: digits, from 1 up.", field="min_version")


def _moment(text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError:
        detail = "Write the moment as RFC 3339 with Z or an offset, such as 2026-01-31T12:00:00Z (send a + as %2B)."
        raise Refusal(ErrorCode.VALIDATION_FAILED, detail, field="at") from None


class AccountEvents(ApiView):
    """All that ever happened to the account, oldest first."""

    required_scopes = READ

    @documents_read(
        "list_events",
        EventPageSerializer,
        summary="List the events of an account",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND),
        parameters=PAGING,
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        page = OldestVersionFirst(request)
        account = selectors.account(account_id, client_of(request).custodian)
        rows = page.of(selectors.events(account_id))
        context = {"currency": account.currency}
        return Response(page.body(EventSerializer(rows, many=True, context=context).data))


class AccountTransactions(ApiView):
    """The postings of the account, newest first, from a read model that follows the books."""

    required_scopes = READ

    @documents_read(
        "list_transactions",
        PostingPageSerializer,
        summary="List the postings of an account",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND),
        parameters=PAGING,
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        page = NewestVersionFirst(request)
        selectors.account(account_id, client_of(request).custodian)
        as_of_version = selectors.postings_version(account_id)
        rows = page.of(selectors.postings(account_id))
        selectors.name_holds(rows)
        return Response(page.body(PostingSerializer(rows, many=True).data, as_of_version=as_of_version))


class AccountStatement(ApiView):
    """A statement of the account from the books: balances before and after, totals, and every posting."""

    required_scopes = READ

    @documents_read(
        "get_statement",
        StatementSerializer,
        summary="Get a statement of some days",
        tag="accounts",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND, ErrorCode.ACCOUNT_NOT_YET_OPENED),
        parameters=(
            OpenApiParameter("from", OpenApiTypes.DATE, required=True, description="The first day (UTC)."),
            OpenApiParameter(
                "to",
                OpenApiTypes.DATE,
                required=True,
                description=f"The last day, at most {LONGEST.days} days in all; today's statement ends now.",
            ),
            *PAGING,
        ),
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        page = OldestVersionFirst(request, "from", "to")
        first_day, last_day = _day(request, "from"), _day(request, "to")
        found = statement(account_id, first_day, last_day, client_of(request).custodian)
        rows = page.of(found.postings())
        return Response(StatementSerializer(page.body([*map(selectors.posting, rows)], **asdict(found))).data)


def _day(request: Request, name: str) -> date:
    text = request.query_params.get(name, "")
    with suppress(ValueError):
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    raise Refusal(ErrorCode.VALIDATION_FAILED, "Write a day, such as 2026-01-31.", field=name)


class TransactionDetail(ApiView):
    """One transaction from the books, there as soon as its command was answered."""

    required_scopes = READ

    @documents_read(
        "get_transaction",
        TransactionSerializer,
        summary="Get a transaction",
        tag="payments",
        codes=(ErrorCode.TRANSACTION_NOT_FOUND,),
    )
    def get(self, request: Request, transaction_id: UUID) -> Response:
        refuse_unknown_parameters(request)
        found = selectors.transaction(transaction_id, client_of(request).custodian)
        return Response(TransactionSerializer(found).data)


class AccountHolds(ApiView):
    """The holds of the account, newest first, as they stand."""

    required_scopes = READ

    @documents_read(
        "list_holds",
        HoldPageSerializer,
        summary="List the holds of an account",
        tag="holds",
        codes=(ErrorCode.VALIDATION_FAILED, ErrorCode.ACCOUNT_NOT_FOUND),
        parameters=(
            OpenApiParameter("status", OpenApiTypes.STR, enum=[status.value for status in HoldStatus]),
            *PAGING,
        ),
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        page = NewestVersionFirst(request, "status")
        selectors.account(account_id, client_of(request).custodian)
        rows = page.of(selectors.holds(account_id, _hold_status(request)))
        return Response(page.body(HoldSerializer(rows, many=True).data))


def _hold_status(request: Request) -> HoldStatus | None:
    text = request.query_params.get("status")
    try:
        return None if text is None else HoldStatus(text)
    except ValueError:
        known = ", ".join(HoldStatus)
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"This must be one of: {known}.", field="status") from None


class HoldDetail(ApiView):
    """One hold as it stands."""

    required_scopes = READ

    @documents_read("get_hold", HoldSerializer, summary="Get a hold", tag="holds", codes=(ErrorCode.HOLD_NOT_FOUND,))
    def get(self, request: Request, hold_id: UUID) -> Response:
        refuse_unknown_parameters(request)
        return Response(HoldSerializer(selectors.hold(hold_id, client_of(request).custodian)).data)
