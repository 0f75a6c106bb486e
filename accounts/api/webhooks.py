"""The routes by which a client has itself told of events, and sees what became of the messages."""

from typing import Any
from uuid import UUID

import psycopg
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from psycopg_pool import PoolTimeout
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ApiView, body_of
from accounts.api.documentation import documents_change, documents_read
from accounts.api.fields import StrictSerializer, TextField
from accounts.api.headers import api_key_of, client_of
from accounts.api.pagination import PAGING, NewestFirst
from accounts.api.parameters import refuse_unknown_parameters
from accounts.api.representations import PageSerializer, TimeField
from accounts.api.scopes import WEBHOOKS_MANAGE
from accounts.api.webhook_guide import GUIDE
from accounts.domain.errors import ErrorCode as E
from accounts.domain.errors import Refusal
from accounts.domain.events import EVENT_CLASSES
from accounts.services.webhooks import subscribe
from ops.models import ApiKey
from ops.webhooks import queue, subscriptions
from ops.webhooks.addresses import MAX_URL_LENGTH, AddressRefused
from ops.webhooks.models import Webhook, WebhookDelivery

TAG = "webhooks"
DELIVERY_STATES = [state.value for state in WebhookDelivery.State]


class WebhookBody(StrictSerializer):
    url = TextField(max_length=MAX_URL_LENGTH, help_text="https:// address of yours, in the public Internet.")
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(EVENT_CLASSES)), allow_empty=False, max_length=100
    )


class WebhookSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(choices=sorted(EVENT_CLASSES)))
    state = serializers.ChoiceField(choices=["active", "paused"])
    paused_reason = serializers.CharField(allow_blank=True, help_text="Why nothing is sent.")
    failures_in_a_row = serializers.IntegerField()
    created_at = TimeField()


class NewWebhookSerializer(WebhookSerializer):
    secret = serializers.CharField(help_text="For checking signatures. It is shown this once: keep it safe.")


class NewSecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="For checking signatures. It is shown this once: keep it safe.")
    previous_valid_until = TimeField(help_text="Until then the secret before this one signs too, as a second v1.")


class DeliverySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="As in the header Bankes-Delivery-Id.")
    event_id = serializers.UUIDField()
    event_type = serializers.ChoiceField(choices=sorted(EVENT_CLASSES))
    account_id = serializers.UUIDField(source="key")
    version = serializers.IntegerField(source="sequence", help_text="The account's version that the event made.")
    state = serializers.ChoiceField(choices=DELIVERY_STATES)
    attempts = serializers.IntegerField(help_text="Tries since it was made, or last asked for again.")
    created_at = TimeField()
    delivered_at = TimeField(allow_null=True)


class AttemptSerializer(serializers.Serializer[Any]):
    started_at = TimeField()
    finished_at = TimeField(allow_null=True, help_text="null: under way, or it is not known what came of it.")
    duration_ms = serializers.IntegerField(allow_null=True)
    status = serializers.IntegerField(allow_null=True, help_text="HTTP status of your answer.")
    error = serializers.CharField(allow_blank=True)
    answer = serializers.CharField(allow_blank=True, help_text="The first bytes of your answer's body.")


class DeliveryDetailSerializer(DeliverySerializer):
    tries = AttemptSerializer(many=True, help_text="Oldest first.")


class WebhookPageSerializer(PageSerializer):
    results = WebhookSerializer(many=True)


class DeliveryPageSerializer(PageSerializer):
    results = DeliverySerializer(many=True)


class WebhookView(ApiView):
    """Offers webhooks of the calling client and no others."""

    http_method_names = [*ApiView.http_method_names, "delete"]
    required_scopes = dict.fromkeys(("GET", "POST", "DELETE"), (WEBHOOKS_MANAGE,))

    def handle_exception(self, exc: Exception) -> Response:
        """A change whose answer was lost may have been made: it is no command, of which the executor knows better."""
        if self.request.method not in SAFE_METHODS and _is_lost(exc):
            exc = Refusal(
                E.OUTCOME_UNKNOWN,
                "The connection to the database was lost. The change may have been made all the same: look at your "
                "webhooks before you send it again.",
            )
        return super().handle_exception(exc)

    def webhook(self, request: Request, webhook_id: UUID) -> Webhook:
        """
        Raises:
            Refusal: `webhook_not_found`, also for another client's.
        """
        found = subscriptions.of_client(client_of(request)).filter(pk=webhook_id).first()
        if found is None:
            raise Refusal(E.WEBHOOK_NOT_FOUND, f"There is no webhook {webhook_id}.")
        return found

    def delivery(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> WebhookDelivery:
        """
        Raises:
            Refusal: `webhook_not_found`, `delivery_not_found`.
        """
        found = self.webhook(request, webhook_id).deliveries.filter(pk=delivery_id).first()
        if found is None:
            raise Refusal(E.DELIVERY_NOT_FOUND, f"There is no delivery {delivery_id}.")
        return found


def _is_lost(error: Exception) -> bool:
    """Whether a connection was lost in use; not where the server said itself that it had not done it."""
    cause = error.__cause__
    said_by_the_server = isinstance(cause, psycopg.Error) and cause.sqlstate is not None
    is_of_the_database = isinstance(error, (OperationalError, InterfaceError))
    return is_of_the_database and not said_by_the_server and not isinstance(cause, PoolTimeout)


class WebhookList(WebhookView):
    """The client's webhooks, newest first, and new ones."""

    @documents_read(
        "list_webhooks",
        WebhookPageSerializer,
        summary="List webhooks",
        tag=TAG,
        parameters=PAGING,
        codes=(E.VALIDATION_FAILED,),
    )
    def get(self, request: Request) -> Response:
        page = NewestFirst(request)
        rows = page.of(subscriptions.of_client(client_of(request)))
        return Response(page.body(WebhookSerializer(rows, many=True).data))

    @documents_change(
        "create_webhook",
        NewWebhookSerializer,
        summary="Subscribe to events",
        description=GUIDE,
        tag=TAG,
        request=WebhookBody,
        request_example={"url": "https://example.com/bankes", "event_types": ["Deposited", "TransferReceived"]},
        success=201,
        codes=(E.WEBHOOK_EXISTS, E.WEBHOOK_LIMIT_REACHED),
    )
    def post(self, request: Request) -> Response:
        data = WebhookBody().run_validation(body_of(request))
        webhook, secret = _subscribe(api_key_of(request), data)
        body = WebhookSerializer(webhook).data | {"secret": secret}
        location = reverse("api-v1:webhook", args=[webhook.pk])
        return Response(body, status=201, headers={"Location": location, "Cache-Control": "no-store"})


def _subscribe(key: ApiKey, data: dict[str, Any]) -> tuple[Webhook, str]:
    try:
        return subscribe(key.client, url=data["url"], event_types=data["event_types"], made_with=key)
    except AddressRefused as refused:
        raise Refusal(E.VALIDATION_FAILED, str(refused), field="url") from None
    except subscriptions.AlreadySubscribed as refused:
        raise Refusal(E.WEBHOOK_EXISTS, str(refused), field="url", webhook_id=str(refused.webhook.pk)) from None
    except subscriptions.TooMany as refused:
        raise Refusal(E.WEBHOOK_LIMIT_REACHED, str(refused)) from None


class WebhookDetail(WebhookView):
    """One webhook."""

    @documents_read("get_webhook", WebhookSerializer, summary="Get a webhook", tag=TAG, codes=(E.WEBHOOK_NOT_FOUND,))
    def get(self, request: Request, webhook_id: UUID) -> Response:
        refuse_unknown_parameters(request)
        return Response(WebhookSerializer(self.webhook(request, webhook_id)).data)

    @documents_change(
        "delete_webhook",
        None,
        summary="Delete a webhook",
        description="Nothing more is sent to it. Only a request that is under way may still arrive.",
        tag=TAG,
        success=204,
        codes=(E.WEBHOOK_NOT_FOUND,),
    )
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        subscriptions.unsubscribe(self.webhook(request, webhook_id).pk)
        return Response(status=204)


class WebhookSecret(WebhookView):
    """A new secret in place of the one before."""

    @documents_change(
        "replace_webhook_secret",
        NewSecretSerializer,
        summary="Replace the secret",
        description=(
            "For a while both secrets sign, so that you can change over without missing a message. If the answer is "
            "lost, ask again: the secret that you hold goes on signing."
        ),
        tag=TAG,
        codes=(E.WEBHOOK_NOT_FOUND,),
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        secret, until = subscriptions.replace_secret(self.webhook(request, webhook_id).pk)
        body = NewSecretSerializer({"secret": secret, "previous_valid_until": until}).data
        return Response(body, headers={"Cache-Control": "no-store"})


class WebhookResume(WebhookView):
    """Going on after a pause."""

    @documents_change(
        "resume_webhook",
        WebhookSerializer,
        summary="Resume a paused webhook",
        description="What has waited is sent first.",
        tag=TAG,
        codes=(E.WEBHOOK_NOT_FOUND,),
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        resumed = subscriptions.resume(self.webhook(request, webhook_id).pk)
        return Response(WebhookSerializer(resumed).data)


class DeliveryList(WebhookView):
    """What was sent to a webhook, or is to be, newest first."""

    @documents_read(
        "list_deliveries",
        DeliveryPageSerializer,
        summary="List the deliveries of a webhook",
        tag=TAG,
        codes=(E.VALIDATION_FAILED, E.WEBHOOK_NOT_FOUND),
        parameters=(OpenApiParameter("state", OpenApiTypes.STR, enum=DELIVERY_STATES), *PAGING),
    )
    def get(self, request: Request, webhook_id: UUID) -> Response:
        page = NewestFirst(request, "state")
        deliveries: QuerySet[WebhookDelivery] = self.webhook(request, webhook_id).deliveries.defer("body")
        if "state" in request.query_params:
            deliveries = deliveries.filter(state=_delivery_state(request.query_params["state"]))
        rows = page.of(deliveries)
        return Response(page.body(DeliverySerializer(rows, many=True).data))


def _delivery_state(text: str) -> str:
    if text not in DELIVERY_STATES:
        raise Refusal(E.VALIDATION_FAILED, f"This must be one of: {', '.join(DELIVERY_STATES)}.", field="state")
    return text


class DeliveryDetail(WebhookView):
    """One delivery, with its tries."""

    @documents_read(
        "get_delivery",
        DeliveryDetailSerializer,
        summary="Get a delivery with its tries",
        tag=TAG,
        codes=(E.WEBHOOK_NOT_FOUND, E.DELIVERY_NOT_FOUND),
    )
    def get(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        refuse_unknown_parameters(request)
        delivery = self.delivery(request, webhook_id, delivery_id)
        return Response(DeliverySerializer(delivery).data | {"tries": _tries(delivery)})


def _tries(delivery: WebhookDelivery) -> Any:
    return AttemptSerializer(delivery.tries.order_by("pk"), many=True).data


class Redelivery(WebhookView):
    """Sending once more."""

    @documents_change(
        "redeliver",
        DeliverySerializer,
        summary="Send a delivery again",
        description="It is due at once, whatever became of it, and before those of the account that still wait.",
        tag=TAG,
        success=202,
        codes=(E.WEBHOOK_NOT_FOUND, E.DELIVERY_NOT_FOUND),
    )
    def post(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        delivery = self.delivery(request, webhook_id, delivery_id)
        queue.send_again(delivery.pk)
        delivery.refresh_from_db()
        return Response(DeliverySerializer(delivery).data, status=202)
