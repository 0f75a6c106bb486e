"""`POST /batches`: many commands in one request, with an outcome for each."""

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ApiView, body_of
from accounts.api.commands import REPLAYED
from accounts.api.documentation import documents_batch
from accounts.api.fields import FlagField, StrictSerializer
from accounts.api.headers import api_key_of, client_of, context_of, idempotency_key_of, refuse_if_match
from accounts.api.items import COMMAND_SCOPES, ITEMS, Reader, Sender
from accounts.api.problems import MEDIA_TYPE, about, problem, problem_of
from accounts.api.representations import AccountAfterSerializer, HoldSerializer, ProblemSerializer, command_result
from accounts.domain.errors import ErrorCode
from accounts.services import Envelope, Executed, Outcome, Refused, execute, execute_together
from accounts.services.executor import MAX_BATCH


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
    hold = HoldSerializer(required=False)
    problem = ProblemSerializer(required=False)


class BatchResultSerializer(serializers.Serializer[Any]):
    outcomes = OutcomeSerializer(many=True, help_text="One for each command, in order.")


class Batch(ApiView):
    """Executes commands in order, as `accounts.services.execute`; each sees the effect of those before it."""

    required_scopes = {"POST": COMMAND_SCOPES}

    @documents_batch(BatchBody, BatchResultSerializer, ITEMS)
    def post(self, request: Request) -> Response:
        refuse_if_match(request, "give a command of the batch its expected_version")
        sender = Sender.of_client(
            client_of(request), api_key_of(request).scopes, idempotency_key_of(request), context_of(request)
        )
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
    reader = Reader(sender)
    read = [reader.read(item, index) for index, item in enumerate(items)]
    envelopes = [item for item in read if isinstance(item, Envelope)]
    if atomic and len(envelopes) < len(read):
        alone = Refused(ErrorCode.BATCH_REJECTED, "Another command of the batch was refused, so none was executed.")
        return [item if isinstance(item, Refused) else alone for item in read]
    outcomes = iter(execute(envelopes, all_or_nothing=True) if atomic else execute_together(envelopes))
    return [item if isinstance(item, Refused) else next(outcomes) for item in read]


def _represent(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [
        {"status": "executed", **command_result(outcome.result)}
        if isinstance(outcome, Executed)
        else {"status": "refused", "problem": problem_of(outcome)}
        for outcome in outcomes
    ]
