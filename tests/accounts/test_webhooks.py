"""Events become messages for the webhooks of API clients: once, for those who may see them, and never again."""

from pathlib import Path
from uuid import UUID

import orjson
import pytest
from django.core.management import CommandError, call_command

from accounts.domain.events import EVENT_CLASSES
from accounts.projections.webhooks import Webhooks
from accounts.services.webhooks import subscribe
from eventstore import projections
from eventstore.models import Event
from eventstore.projections.base import Projection
from eventstore.projections.runner import Runner, catch_up
from ops.models import ApiClient
from ops.webhooks import subscriptions
from ops.webhooks.models import Webhook, WebhookDelivery
from tests.accounts.api.caller import new_caller
from tests.bank import Bank
from tests.threads import together


def listener(name: str, *event_types: str, reach: str = "own", url: str = "https://example.com/hook") -> Webhook:
    client, _ = ApiClient.objects.get_or_create(name=name, defaults={"reach": reach})
    webhook, _ = subscribe(client, url=url, event_types=event_types or sorted(EVENT_CLASSES))
    return webhook


def project() -> None:
    catch_up([Webhooks()])


def told(webhook: Webhook) -> list[tuple[str, UUID, int]]:
    rows = webhook.deliveries.order_by("id")
    return [(row.event_type, row.key, row.sequence) for row in rows]


def acme_account(bank: Bank, **fields: str) -> UUID:
    return bank.open(custodian="client:acme", **fields)


def test_a_client_is_told_of_accounts_in_its_care_and_of_no_others(bank: Bank) -> None:
    acme, other, auditor = listener("acme"), listener("other"), listener("auditor", reach="all")
    ann, bob = acme_account(bank), bank.open("50.00")
    bank.transfer(bob, ann, "5.00")
    project()

    assert told(acme) == [("AccountOpened", ann, 1), ("TransferReceived", ann, 2)]
    assert told(other) == []
    assert sorted(told(auditor)) == sorted(Event.objects.values_list("event_type", "aggregate_id", "version"))
    assert auditor.deliveries.filter(needs_full_reach=False).count() == 0
    assert acme.deliveries.filter(needs_full_reach=True).count() == 0


def test_what_is_in_its_own_care_a_client_of_wide_reach_is_told_whatever_its_reach_becomes(bank: Bank) -> None:
    auditor = listener("auditor", reach="all")
    own, other = bank.open(custodian="client:auditor"), acme_account(bank)
    project()
    assert dict(auditor.deliveries.values_list("key", "needs_full_reach")) == {own: False, other: True}


def test_only_of_the_types_that_it_asked_for(bank: Bank) -> None:
    webhook = listener("acme", "Deposited", "AccountFrozen")
    ann = acme_account(bank)
    bank.deposit(ann, "5.00")
    bank.withdraw(ann, "1.00")
    bank.freeze(ann)
    project()
    assert told(webhook) == [("Deposited", ann, 2), ("AccountFrozen", ann, 4)]


def test_the_message_shows_the_event_as_the_api_does(bank: Bank) -> None:
    webhook = listener("acme")
    api = new_caller()
    ann = api.open("10.00")
    api.put(f"/accounts/{ann}/overdraft-limit", {"overdraft_limit": "20.00", "currency": "EUR"})
    done = api.post(
        f"/accounts/{ann}/transfers", {"target_account_id": api.open(), "amount": "3.50", "currency": "EUR"}
    )
    project()

    messages = [orjson.loads(row.body) for row in webhook.deliveries.filter(key=ann).order_by("sequence")]
    shown = api.get(f"/accounts/{ann}/events").json()["results"]
    for event in shown:
        del event["hash"]
        event["occurred_at"] = event.pop("recorded_at")
    assert messages == [event | {"account_id": ann} for event in shown]
    assert [event["version"] for event in messages] == [1, 2, 3]
    assert messages[1]["data"] == {"currency": "EUR", "overdraft_limit": "20.00", "previous": "0.00"}
    assert (messages[2]["data"]["amount"], messages[2]["data"]["currency"]) == ("-3.50", "EUR")
    assert messages[2]["transaction_id"] == done.json()["transaction_id"]


def test_what_came_before_the_webhook_is_not_sent(bank: Bank) -> None:
    ann = acme_account(bank)
    bank.deposit(ann, "1.00")
    first = listener("acme", url="https://example.com/1")
    bank.deposit(ann, "2.00")
    second = listener("acme", url="https://example.com/2")
    bank.deposit(ann, "3.00")
    project()

    assert [version for _, _, version in told(first)] == [3, 4]
    assert [version for _, _, version in told(second)] == [4]


def test_what_comes_between_the_making_and_the_first_run_of_the_projector_is_sent(bank: Bank) -> None:
    webhook = listener("acme")
    ann = acme_account(bank)
    project()
    assert told(webhook) == [("AccountOpened", ann, 1)]


def test_messages_are_made_while_a_webhook_is_paused_and_not_once_it_is_deleted(bank: Bank) -> None:
    paused, deleted = listener("acme"), listener("acme", url="https://example.com/gone")
    inactive = listener("other", reach="all")
    subscriptions.pause(paused.pk, "a test")
    subscriptions.unsubscribe(deleted.pk)
    ApiClient.objects.filter(name="other").update(is_active=False)
    ann = acme_account(bank)
    project()
    assert told(paused) == [("AccountOpened", ann, 1)]
    assert told(deleted) == told(inactive) == []


def test_messages_and_checkpoint_are_one_transaction(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    from eventstore.projections import checkpoints

    webhook = listener("acme")
    acme_account(bank)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "move", crash)
        with pytest.raises(KeyboardInterrupt):
            project()
    assert told(webhook) == []
    project()
    project()
    assert len(told(webhook)) == 1


def test_many_projectors_at_once_make_each_message_once(bank: Bank) -> None:
    webhook = listener("acme")
    ann = acme_account(bank)
    for _ in range(30):
        bank.deposit(ann, "1.00")

    def run() -> None:
        runner = Runner(Webhooks(), batch_size=3)
        for _ in range(30):
            runner.step()

    together([run] * 4)
    assert [version for _, _, version in told(webhook)] == list(range(1, 32))


def test_no_rebuild_replay_or_seek_makes_a_message_again(bank: Bank) -> None:
    webhook = listener("acme")
    ann = acme_account(bank)
    bank.deposit(ann, "1.00")
    catch_up(projections.registered())
    assert len(told(webhook)) == 2
    WebhookDelivery.objects.all().delete()  # as the cleanup does in time: the uniqueness of events protects no more

    for read_model in projections.registered():
        if not read_model.has_side_effects:
            call_command("rebuild_projection", read_model.name)
    call_command("rebuild_projection", "accounts")
    call_command("replay_events", "--aggregate", str(ann))
    call_command("recover_from_snapshot", "--aggregate", str(ann))
    call_command("seek_projection", "transactions", "--position", "0")
    for arguments in (["--dry-run"], []):
        with pytest.raises(CommandError, match="Nothing was changed: webhooks cannot be rebuilt"):
            call_command("rebuild_projection", "webhooks", *arguments)
    with pytest.raises(CommandError, match="no previous generation"):
        call_command("rebuild_projection", "webhooks", "--undo")
    with pytest.raises(CommandError, match="webhooks cannot be wound back: what was sent would be sent again"):
        call_command("seek_projection", "webhooks", "--position", "0")
    catch_up(projections.registered())

    assert told(webhook) == []


def test_newer_code_of_a_projection_with_side_effects_goes_on_where_the_older_was(bank: Bank) -> None:
    webhook = listener("acme")
    acme_account(bank)
    project()

    class Newer(Webhooks):
        version = 2

    catch_up([Newer()])
    ann = acme_account(bank)
    catch_up([Newer()])
    assert [key for _, key, _ in told(webhook)][1:] == [ann]


def test_a_projection_with_side_effects_begins_at_the_end_of_the_feed(bank: Bank) -> None:
    seen: list[int] = []

    class Mailer(Projection[list[int]]):
        name = "mailer"
        has_side_effects = True
        tables = ()
        handles = frozenset(EVENT_CLASSES)
        ignores = frozenset()

        def new_batch(self) -> list[int]:
            return []

        def gather(self, stored: object, batch: list[int]) -> None:
            batch.append(stored.position)  # type: ignore[attr-defined]

        def write(self, batch: list[int], cursor: object) -> None:
            seen.extend(batch)

    bank.open("5.00")
    catch_up([Mailer()])
    assert seen == []
    bank.open()
    catch_up([Mailer()])
    assert seen == [Event.objects.latest("position").position]


def test_nothing_of_the_books_is_imported_by_the_machinery() -> None:
    for path in Path("ops/webhooks").glob("*.py"):
        assert not {"accounts", "eventstore"} & {
            word
            for line in path.read_text().splitlines()
            if "import" in line
            for word in line.replace(".", " ").split()
        }, path
