"""A client's subscription to what happens to its accounts."""

from collections.abc import Collection

from django.db import connection, transaction

from accounts.projections.webhooks import Webhooks
from eventstore import feed
from eventstore.projections import checkpoints
from ops.models import ApiClient, ApiKey
from ops.webhooks import subscriptions
from ops.webhooks.models import Webhook


def subscribe(
    client: ApiClient, *, url: str, event_types: Collection[str], made_with: ApiKey | None = None
) -> tuple[Webhook, str]:
    """A new webhook and its secret, shown once. It gets every event that is recorded after this has returned, and
    none that was recorded before it was called.

    Raises:
        AddressRefused, AlreadySubscribed, TooMany: nothing was made.
    """
    shards = feed.require_shard_count()
    with transaction.atomic():
        with connection.cursor() as cursor:
            checkpoints.begin(cursor, Webhooks(), shards)  # else its first runner would begin behind what comes now
        return subscriptions.subscribe(
            client=client, url=url, event_types=event_types, starts_after=feed.mark(), made_with=made_with
        )
