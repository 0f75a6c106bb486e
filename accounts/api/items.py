"""Commands that come many at a time, in a batch or as lines of an import: each is read by itself."""

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.api.bodies import COMMAND_BODIES, CommandBody
from accounts.api.commands import NO_SUBJECT, require_scopes
from accounts.api.fields import IdField, KeyField, VersionField
from accounts.api.plain import plain_fields, plain_id
from accounts.api.problems import refused_for
from accounts.domain.errors import Refusal
from accounts.services import Envelope, Refused, idempotency_key
from eventstore.events import Context
from ops.models import ApiClient

COMMAND_SCOPES = tuple(sorted({body.scope for body in COMMAND_BODIES}))
"""Of a route that takes commands of all kinds; each command takes its own besides."""


def _item_of(body: type[CommandBody]) -> type[CommandBody]:
    """The body of a command with what tells it apart among others."""
    fields: dict[str, Any] = {
        "command": serializers.ChoiceField(choices=[body.name]),
        "idempotency_key": KeyField(required=False, help_text="Default: the header's key, a colon, and the place."),
        "__doc__": body.__doc__,
    }
    if body.subject:
        fields["expected_version"] = VersionField(required=False, help_text="As If-Match for a single command.")
        fields[body.subject] = IdField()
    return type(f"Batch{body.__name__.removesuffix('Body')}Serializer", (body,), fields)


ITEMS: dict[str, type[CommandBody]] = {body.name: _item_of(body) for body in COMMAND_BODIES}


class Sender(NamedTuple):
    """What all commands of one batch or import share.

    `scope`: whose their idempotency keys are; `custodian`: in whose care a new account will be; `reach`: in whose
    care an account must be to be acted for (None: anyone's); `scopes`: what the sender may do; `key`: what begins the
    default keys.
    """

    scope: str
    custodian: str
    reach: str | None
    scopes: Collection[str]
    key: str
    context: Context

    @classmethod
    def of_client(cls, client: ApiClient, scopes: Collection[str], key: str, context: Context) -> "Sender":
        return cls(client.actor, client.actor, client.custodian, scopes, key, context)


class Reader:
    """Reads the items of one sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._bodies = {name: item() for name, item in ITEMS.items()}

    def read(self, item: Any, number: int) -> Envelope | Refused:
        """An item as the executor takes it, or why it cannot be one; `number` ends its default key."""
        try:
            return self._envelope(item, number)
        except Refusal as refusal:
            return Refused.because(refusal)
        except ValidationError as error:
            return refused_for(error)

    def _envelope(self, item: Any, number: int) -> Envelope:
        sender = self._sender
        name = item.get("command") if isinstance(item, dict) else None
        body = self._bodies.get(name) if isinstance(name, str) else None
        if body is None:
            raise ValidationError({"command": [ErrorDetail(f"This must be one of: {', '.join(self._bodies)}.")]})
        data = _plain(body, item) or body.run_validation(item)
        subject: UUID = data[body.subject] if body.subject else NO_SUBJECT
        command = body.build(subject, data, sender.custodian)
        require_scopes(sender.scopes, body, command)
        key = data.get("idempotency_key") or f"{sender.key}:{number}"
        return Envelope(
            command,
            sender.context,
            key=idempotency_key(scope=sender.scope, key=key, command=command),
            expected_version=data.get("expected_version"),
            custodian=sender.reach,
        )


def _plain(body: CommandBody, item: dict[str, Any]) -> dict[str, Any] | None:
    """As `body` would read it, when it is plainly right."""
    rest = {name: value for name, value in item.items() if name not in ("command", "account_id")}
    subject, fields = plain_id(item.get("account_id")), plain_fields(body.name, rest)
    return fields | {"account_id": subject} if subject and fields else None
