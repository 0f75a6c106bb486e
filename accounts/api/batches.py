"""`POST /batches`: many commands in one request and one transaction, with an outcome for each."""

from typing import Any, NamedTuple
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ApiView, body_of
from accounts.api.bodies import COMMAND_BODIES, CommandBody
from accounts.api.commands import NO_SUBJECT, REPLAYED, require_scopes
from accounts.api.documentation import documents_batch
from accounts.api.fields import FlagField, IdField, KeyField, StrictSerializer, VersionField
from accounts.api.headers import api_key_of, client_of, context_of, idempotency_key_of, refuse_if_match
from accounts.api.plain import plain_fields, plain_id
from accounts.api.problems import MEDIA_TYPE, about, problem, problem_of, refused_for
from accounts.api.representations import AccountAfterSerializer, ProblemSerializer, command_result
from accounts.domain.errors import ErrorCode, Refusal
from accounts.services import Envelope, Executed, Outcome, Refused, execute, idempotency_key
from accounts.services.executor import MAX_BATCH
from eventstore.events import Context
from ops.models import ApiClient, ApiKey


def _item_of(body: type[CommandBody]) -> type[CommandBody]:
    """The body of a command with what tells it apart in a batch."""
    fields: dict[str, Any] = {
        "command": serializers.ChoiceField(choices=[body.name]),
        "idempotency_key": KeyField(required=False, help_text="Default: the header's key, a colon, and the index."),
        "expected_version": VersionField(required=False, help_text="As If-Match for a single command."),
        "__doc__": body.__doc__,
    }
    if body.subject:
        fields[body.subject] = IdField()
    return type(f"Batch{body.__name__.removesuffix('Body')}Serializer", (body,), fields)


ITEMS: dict[str, type[CommandBody]] = {body.name: _item_of(body) for body in COMMAND_BODIES}


@extend_schema_field(
    PolymorphicProxySerializer("BatchItem", list(ITEMS.values()), resource_type_field_name="command", many=True)
)
class ItemsField(serializers.ListField):
    """Up to `MAX_BATCH` items, each read by itself: one that is wrong is refused alone."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        if not 1 <= len(data) <= MAX_BATCH:
            raise ValidationError(f"A batch holds 1 to {MAX_BATCH} commands, not {len(data)}.")
        return data


class BatchBody(StrictSerializer):
    atomic = FlagField(default=False, help_text="All or nothing: one refusal refuses them all.")
    commands = ItemsField()


class OutcomeSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["executed", "refused"])
    transaction_id = serializers.CharField(required=False)
    recorded_at = serializers.DateTimeField(required=False)
    accounts = AccountAfterSerializer(many=True, required=False)
    problem = ProblemSerializer(required=False)


class BatchResultSerializer(serializers.Serializer[Any]):
    outcomes = OutcomeSerializer(many=True, help_text="One for each command, in order.")


class Sender(NamedTuple):
    """What all commands of one batch share."""

    api_key: ApiKey
    client: ApiClient
    key: str
    context: Context


class Batch(ApiView):
    """Executes commands in order, in one transaction; each sees the effect of those before it."""

    required_scopes = {"POST": tuple(sorted({body.scope for body in COMMAND_BODIES}))}

    @documents_batch(BatchBody, BatchResultSerializer, ITEMS)
    def post(self, request: Request) -> Response:
        refuse_if_match(request, "give a command of the batch its expected_version")
        client = client_of(request)
        sender = Sender(api_key_of(request), client, idempotency_key_of(request), context_of(request))
        batch = BatchBody()
        data = batch.run_validation(body_of(request))
        outcomes = _run(data["commands"], sender, atomic=data["atomic"])
        body = {"outcomes": _represent(outcomes)}
        if data["atomic"] and any(isinstance(outcome, Refused) for outcome in outcomes):
            refused = problem(ErrorCode.BATCH_REJECTED, "None was executed: see the refused outcomes.", **body)
            return Response(refused | about(request._request), status=refused["status"], content_type=MEDIA_TYPE)
        executed = [outcome for outcome in outcomes if isinstance(outcome, Executed)]
        replayed = bool(executed) and all(outcome.replayed for outcome in executed)
        return Response(body, headers={REPLAYED: "true"} if replayed else {})


def _run(items: list[Any], sender: Sender, *, atomic: bool) -> list[Outcome]:
    readers = {name: item() for name, item in ITEMS.items()}
    read = [_read(item, index, sender, readers) for index, item in enumerate(items)]
    envelopes = [item for item in read if isinstance(item, Envelope)]
    if atomic and len(envelopes) < len(read):
        alone = Refused(ErrorCode.BATCH_REJECTED, "Another command of the batch was refused, so none was executed.")
        return [item if isinstance(item, Refused) else alone for item in read]
    outcomes = iter(execute(envelopes, all_or_nothing=atomic))
    return [item if isinstance(item, Refused) else next(outcomes) for item in read]


def _read(item: Any, index: int, sender: Sender, readers: dict[str, CommandBody]) -> Envelope | Refused:
    """One item as the executor takes it, or why it cannot be one."""
    try:
        return _envelope(item, index, sender, readers)
    except Refusal as refusal:
        return Refused.because(refusal)
    except ValidationError as error:
        return refused_for(error)


def _envelope(item: Any, index: int, sender: Sender, readers: dict[str, CommandBody]) -> Envelope:
    name = item.get("command") if isinstance(item, dict) else None
    reader = readers.get(name) if isinstance(name, str) else None
    if reader is None:
        raise ValidationError({"command": [ErrorDetail(f"This must be one of: {', '.join(readers)}.")]})
    data = _plain(reader, item) or reader.run_validation(item)
    subject: UUID = data[reader.subject] if reader.subject else NO_SUBJECT
    command = reader.build(subject, data, sender.client.actor)
    require_scopes(sender.api_key, reader, command)
    key = data.get("idempotency_key") or f"{sender.key}:{index}"
    return Envelope(
        command,
        sender.context,
        key=idempotency_key(scope=sender.client.actor, key=key, command=command),
        expected_version=data.get("expected_version"),
        custodian=sender.client.custodian,
    )


def _plain(reader: CommandBody, item: dict[str, Any]) -> dict[str, Any] | None:
    """As `reader` would read it, when it is plainly right."""
    rest = {name: value for name, value in item.items() if name not in ("command", "account_id")}
    subject, fields = plain_id(item.get("account_id")), plain_fields(reader.name, rest)
    return fields | {"account_id": subject} if subject and fields else None


def _represent(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [
        {"status": "executed", **command_result(outcome.result)}
        if isinstance(outcome, Executed)
        else {"status": "refused", "problem": problem_of(outcome)}
        for outcome in outcomes
    ]
