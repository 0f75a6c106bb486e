"""The routes that change something: one command each, through the executor."""

from collections.abc import Collection
from typing import ClassVar
from uuid import UUID

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import bodies
from accounts.api.base import ApiView, body_of
from accounts.api.documentation import documents_command
from accounts.api.headers import (
    api_key_of,
    client_of,
    context_of,
    etag,
    expected_version_of,
    idempotency_key_of,
    refuse_if_match,
)
from accounts.api.plain import plain_fields
from accounts.api.representations import command_result
from accounts.domain.commands import Command
from accounts.domain.errors import ErrorCode, Refusal
from accounts.services import Envelope, Executed, execute_one, idempotency_key

NO_SUBJECT = UUID(int=0)
REPLAYED = "Idempotent-Replayed"


def require_scopes(scopes: Collection[str], body: bodies.CommandBody, command: Command) -> None:
    """
    Raises:
        Refusal: `permission_denied`, naming the scopes that the key lacks.
    """
    if missing := sorted(body.scopes(command) - set(scopes)):
        raise Refusal(ErrorCode.PERMISSION_DENIED, f"The API key lacks the scope {', '.join(missing)}.")


def answer_headers(executed: Executed) -> dict[str, str]:
    """The version that the command left its account at, and whether it had been executed before."""
    headers = {"ETag": etag(executed.result["accounts"][0]["version"])}
    return headers | ({REPLAYED: "true"} if executed.replayed else {})


class CommandView(ApiView):
    """A command of `body`; subclasses offer it under a method and document it."""

    body: ClassVar[type[bodies.CommandBody]]
    success: ClassVar[int] = 200

    def execute(self, request: Request, subject: UUID = NO_SUBJECT) -> Response:
        """Runs the command and answers with what it did.

        Raises:
            Refusal, ValidationError: the command was refused; nothing changed. And what `execute_one` raises.
        """
        client, body = client_of(request), self.body()
        key = idempotency_key_of(request)
        given = body_of(request)
        data = plain_fields(body.name, given) or body.run_validation(given)
        command = body.build(subject, data, client.actor)
        require_scopes(api_key_of(request).scopes, body, command)
        executed = execute_one(
            Envelope(
                command,
                context_of(request),
                key=idempotency_key(scope=client.actor, key=key, command=command),
                expected_version=self.expected_version(request),
                custodian=client.custodian,
            )
        )
        return Response(command_result(executed.result), status=self.success, headers=self.answer_headers(executed))

    def expected_version(self, request: Request) -> int | None:
        return expected_version_of(request)

    def answer_headers(self, executed: Executed) -> dict[str, str]:
        return answer_headers(executed)


class OpenAccount(CommandView):
    """Opens an account, in the care of the calling client."""

    body = bodies.OpenAccountBody
    required_scopes = {"POST": (body.scope,)}
    success = 201

    @documents_command(bodies.OpenAccountBody, summary="Open an account", tag="accounts", success=201)
    def post(self, request: Request) -> Response:
        return self.execute(request)

    def expected_version(self, request: Request) -> int | None:
        refuse_if_match(request, "the account does not exist yet")
        return None

    def answer_headers(self, executed: Executed) -> dict[str, str]:
        opened = executed.result["accounts"][0]["id"]
        return super().answer_headers(executed) | {"Location": reverse("api-v1:account", args=[opened])}


class Deposit(CommandView):
    """Brings money in from one of the bank's internal accounts."""

    body = bodies.DepositBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.DepositBody, summary="Deposit", tag="payments")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Withdraw(CommandView):
    """Pays money out to one of the bank's internal accounts, as far as it is available."""

    body = bodies.WithdrawBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.WithdrawBody, summary="Withdraw", tag="payments")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Transfer(CommandView):
    """Moves money to another account of the same currency: both postings happen, or neither."""

    body = bodies.TransferBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.TransferBody, summary="Transfer", tag="payments")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class PlaceHold(CommandView):
    """Reserves money for a later capture: the available balance falls, the ledger balance stays."""

    body = bodies.PlaceHoldBody
    required_scopes = {"POST": (body.scope,)}
    success = 201

    @documents_command(bodies.PlaceHoldBody, summary="Place a hold", tag="holds", success=201)
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)

    def answer_headers(self, executed: Executed) -> dict[str, str]:
        placed = executed.result["hold"]["id"]
        return super().answer_headers(executed) | {"Location": reverse("api-v1:hold", args=[placed])}


class CaptureHold(CommandView):
    """Books what a hold reserved, all or a part of it; If-Match is about its account."""

    body = bodies.CaptureHoldBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.CaptureHoldBody, summary="Capture a hold", tag="holds")
    def post(self, request: Request, hold_id: UUID) -> Response:
        return self.execute(request, hold_id)


class ExtendHold(CommandView):
    """Has a hold reserve more, as far as it is available, or last longer; If-Match is about its account."""

    body = bodies.ExtendHoldBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.ExtendHoldBody, summary="Extend a hold", tag="holds")
    def post(self, request: Request, hold_id: UUID) -> Response:
        return self.execute(request, hold_id)


class ReleaseHold(CommandView):
    """Gives up what a hold still reserves, all or a part of it; If-Match is about its account."""

    body = bodies.ReleaseHoldBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.ReleaseHoldBody, summary="Release a hold", tag="holds")
    def post(self, request: Request, hold_id: UUID) -> Response:
        return self.execute(request, hold_id)


class ChangeOverdraftLimit(CommandView):
    """Sets how far the account may be overdrawn."""

    body = bodies.OverdraftLimitBody
    required_scopes = {"PUT": (body.scope,)}

    @documents_command(bodies.OverdraftLimitBody, summary="Set the overdraft limit", tag="accounts")
    def put(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Freeze(CommandView):
    """Stops all movements of the account until it is unfrozen."""

    body = bodies.FreezeBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.FreezeBody, summary="Freeze an account", tag="accounts")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Unfreeze(CommandView):
    """Lets money move again."""

    body = bodies.UnfreezeBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.UnfreezeBody, summary="Unfreeze an account", tag="accounts")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Close(CommandView):
    """Closes the account for good. Its balance must be zero."""

    body = bodies.CloseBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.CloseBody, summary="Close an account", tag="accounts")
    def post(self, request: Request, account_id: UUID) -> Response:
        return self.execute(request, account_id)


class Reverse(CommandView):
    """Undoes all postings of a transaction, once; If-Match is about its first account."""

    body = bodies.ReverseBody
    required_scopes = {"POST": (body.scope,)}

    @documents_command(bodies.ReverseBody, summary="Reverse a transaction", tag="payments")
    def post(self, request: Request, transaction_id: UUID) -> Response:
        return self.execute(request, transaction_id)
