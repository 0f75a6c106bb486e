"""The forms by which staff move money: what they do, and what they say when they may not."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client

from accounts.models import Account, Hold
from eventstore.models import Event
from tests.accounts.admin.forms import errors, form_of, messages, send
from tests.bank import Bank


def at(account_id: UUID, command: str) -> str:
    return f"/admin/accounts/account/{account_id}/{command}/"


def on_hold(hold_id: UUID, command: str) -> str:
    return f"/admin/accounts/hold/{hold_id}/{command}-hold/"


def reverse_of(transaction_id: UUID) -> str:
    return f"/admin/accounts/transaction/of/{transaction_id}/reverse/"


def last_event() -> Event:
    event = Event.objects.order_by("position").last()
    assert event is not None
    return event


def test_a_deposit_tells_who_why_and_from_where(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")

    answer = send(
        teller, at(ann, "deposit"), amount="12.34", contra="wire", reason="Arrived by wire", description="X"
    )

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/admin/accounts/account/{ann}/change/"
    assert bank.balance(ann) == 1334
    event = last_event()
    assert (event.event_type, event.data["contra"], event.data["description"]) == ("Deposited", "wire:EUR", "X")
    who = event.metadata
    assert (who["actor"], who["source"], who["reason"]) == ("staff:teller", "admin", "Arrived by wire")
    assert who["address"] == "127.0.0.1"
    assert len(who["request_id"]) == 36


def test_each_command_does_what_its_name_says(bank: Bank, supervisor: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")

    for command, fields in (
        ("withdraw", {"amount": "10.00"}),
        ("transfer", {"amount": "20.00", "target_account_id": str(bob)}),
        ("freeze", {}),
        ("unfreeze", {}),
    ):
        assert send(supervisor, at(ann, command), **fields).status_code == 302, command

    types = Event.objects.filter(aggregate_id=ann).order_by("version").values_list("event_type", flat=True)
    assert list(types)[2:] == [
        "Withdrawn",
        "TransferSent",
        "AccountFrozen",
        "AccountUnfrozen",
    ]
    account = Account.objects.get(pk=ann)
    assert (account.balance, account.overdraft_limit, account.status) == (7000, 0, "open")
    assert bank.balance(bob) == 2000


def test_an_empty_account_is_closed(bank: Bank, supervisor: Client) -> None:
    ann = bank.open()

    send(supervisor, at(ann, "close"))

    assert Account.objects.get(pk=ann).status == "closed"


def test_an_account_is_opened_in_the_currency_and_with_the_product_that_were_chosen(
    teller: Client, bank: Bank
) -> None:
    fields = {"owner": "Chiyo", "currency": "JPY", "product": "savings", "opening_deposit": "5000"}

    answer = send(teller, "/admin/accounts/account/open/", **fields)

    account = Account.objects.get()
    assert answer.headers["Location"] == f"/admin/accounts/account/{account.pk}/change/"
    assert (account.currency, account.product, account.balance, account.custodian) == ("JPY", "savings", 5000, "bank")
    assert last_event().metadata["actor"] == "staff:teller"


def test_an_account_is_opened_without_an_overdraft_whatever_is_sent(teller: Client, bank: Bank) -> None:
    """A limit takes a supervisor and a second person."""
    answer = send(teller, "/admin/accounts/account/open/", owner="Dora", overdraft_limit="5000.00")

    assert answer.status_code == 302
    assert Account.objects.get().overdraft_limit == 0


def test_a_hold_is_placed_until_the_end_of_a_day(bank: Bank, teller: Client) -> None:
    ann, last = bank.open("10.00"), datetime.now(UTC).date() + timedelta(days=3)
    form = {"amount": "4.00", "contra": "wire", "last_day": str(last), "description": "Flat"}

    answer = send(teller, at(ann, "place-hold"), **form)

    assert answer.headers["Location"] == f"/admin/accounts/account/{ann}/change/"
    assert "Available are 6.00 EUR." in messages(answer)[0]
    hold = Hold.objects.get()
    assert (hold.amount, hold.contra, hold.description) == (400, "wire:EUR", "Flat")
    assert hold.expires_at.isoformat() == f"{last + timedelta(days=1)}T00:00:00+00:00"
    assert "Flat" in teller.get(answer.headers["Location"]).content.decode()


def test_a_hold_whose_form_is_sent_twice_is_placed_once(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00")
    form = form_of(teller, at(ann, "place-hold")) | {"reason": "a test", "amount": "4.00"}

    first, second = (teller.post(at(ann, "place-hold"), form) for _ in range(2))

    assert (first.status_code, second.status_code) == (302, 302)
    assert "had been done before, and once only" in messages(second)[-1]
    assert Hold.objects.get().amount == 400


@pytest.mark.parametrize("days", [-1, 31])
def test_a_hold_that_ends_too_early_or_too_late_is_refused_at_its_day(bank: Bank, teller: Client, days: int) -> None:
    ann, last = bank.open("10.00"), datetime.now(UTC).date() + timedelta(days=days)
    before = bank.footprint()

    answer = send(teller, at(ann, "place-hold"), amount="4.00", last_day=str(last))

    assert "in the next 31 days" in errors(answer)["last_day"][0]
    assert bank.footprint() == before


def test_a_hold_until_the_last_day_of_all_is_refused_at_its_day(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00")
    before = bank.footprint()

    answer = send(teller, at(ann, "place-hold"), amount="4.00", last_day="9999-12-31")

    assert "in the next 31 days" in errors(answer)["last_day"][0]
    assert bank.footprint() == before


def test_a_hold_is_captured_in_part_and_what_is_left_is_released(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00")
    hold = bank.hold(ann, "4.00")
    assert form_of(teller, on_hold(hold, "capture"))["amount"] == "4.00"

    answer = send(teller, on_hold(hold, "capture"), amount="1.50", rest="kept")
    assert answer.headers["Location"] == f"/admin/accounts/hold/{hold}/change/"
    assert (bank.balance(ann), Hold.objects.get().held) == (850, 250)
    send(teller, on_hold(hold, "release"))

    account = Account.objects.get(pk=ann)
    assert (account.balance, account.held, Hold.objects.get().status) == (850, 0, "released")
    page = teller.get(answer.headers["Location"]).content.decode()
    assert "Released" in page
    assert on_hold(hold, "release") not in page


def test_a_hold_is_extended_and_a_part_of_it_released(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00")
    hold = bank.hold(ann, "4.00")
    last = datetime.now(UTC).date() + timedelta(days=20)

    send(teller, on_hold(hold, "extend"), amount="6.00", last_day=str(last))
    row = Hold.objects.get()
    assert (row.held, row.expires_at.isoformat()) == (1000, f"{last + timedelta(days=1)}T00:00:00+00:00")
    send(teller, on_hold(hold, "release"), amount="2.50")
    assert (Hold.objects.get().status, Hold.objects.get().held) == ("open", 750)

    before = bank.footprint()
    nothing = send(teller, on_hold(hold, "extend"))
    beyond = send(teller, on_hold(hold, "release"), amount="7.51")
    assert "Say how much more" in errors(nothing)["amount"][0]
    assert "Held are 7.50 EUR." in errors(beyond)["amount"][0]
    assert bank.footprint() == before


def test_a_capture_beyond_the_hold_says_what_is_held(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00")
    hold = bank.hold(ann, "4.00")
    before = bank.footprint()

    answer = send(teller, on_hold(hold, "capture"), amount="4.01")

    assert "Held are 4.00 EUR. Nothing was done." in errors(answer)["amount"][0]
    assert bank.footprint() == before


def test_an_account_that_a_hold_keeps_from_being_closed_says_what_is_held(bank: Bank, supervisor: Client) -> None:
    ann = bank.open(overdraft="10.00")
    bank.hold(ann, "4.00")
    before = bank.footprint()

    closed, lowered = (
        send(supervisor, at(ann, "close")),
        send(supervisor, at(ann, "change-overdraft-limit"), limit="3"),
    )

    told = "The balance is 0.00 EUR. Held are 4.00 EUR. Nothing was done."
    assert told in errors(closed)["__all__"][0]
    assert "release its holds first" in errors(closed)["__all__"][0]
    assert told in errors(lowered)["limit"][0]
    assert bank.footprint() == before


def test_the_page_of_a_hold_says_whose_account_it_is_on(bank: Bank, teller: Client) -> None:
    ann = bank.open("10.00", owner="Ann Archer")

    page = teller.get(f"/admin/accounts/hold/{bank.hold(ann, '4.00')}/change/").content.decode()

    assert f'href="{at(ann, "change")}">Ann Archer</a>' in page


def test_a_hold_past_its_time_is_offered_for_release_alone(bank: Bank, teller: Client) -> None:
    hold = bank.overdue_hold(bank.open("10.00"), "4.00")

    page = teller.get(f"/admin/accounts/hold/{hold}/change/").content.decode()

    assert "Past its time" in page
    assert on_hold(hold, "release") in page
    assert on_hold(hold, "capture") not in page


def test_the_list_of_holds_is_narrowed_to_an_account_and_to_those_that_are_open(bank: Bank, teller: Client) -> None:
    ann, bob = bank.open("10.00"), bank.open("10.00", owner="Bob")
    late = bank.hold(ann, "1.00", expires_at=datetime.now(UTC) + timedelta(days=9))
    early, ended, bobs = bank.hold(ann, "2.00"), bank.hold(ann, "3.00"), bank.hold(bob, "4.00")
    bank.release(ended)

    def shown(query: str) -> list[str]:
        page = teller.get(f"/admin/accounts/hold/?{query}").content.decode()
        return re.findall(r"/admin/accounts/hold/([0-9a-f-]{36})/change/", page)

    assert shown("") == [str(each) for each in (bobs, ended, early, late)]
    assert shown("show=open") == [str(each) for each in (early, bobs, late)]
    assert shown(f"account={ann}") == [str(each) for each in (ended, early, late)]
    assert shown(f"account={ann}&show=open") == [str(each) for each in (early, late)]


def test_a_reversal_undoes_a_transaction_once(bank: Bank, supervisor: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    moved = bank.transfer(ann, bob, "30.00").transaction_id

    answer = send(supervisor, reverse_of(moved))

    assert (bank.balance(ann), bank.balance(bob)) == (10000, 0)
    page = supervisor.get(answer.headers["Location"])
    assert "See the transaction" in page.content.decode()
    before = bank.footprint()
    again = send(supervisor, reverse_of(moved))
    assert "reversed before" in errors(again)["__all__"][0]
    assert bank.footprint() == before


@pytest.mark.parametrize(
    ("command", "fields", "field", "says"),
    [
        ("deposit", {"amount": "0"}, "amount", "above zero"),
        ("deposit", {"amount": "-1"}, "amount", "must not be negative"),
        ("deposit", {"amount": "1,50"}, "amount", "digits with a point"),
        ("deposit", {"amount": "1e3"}, "amount", "digits with a point"),
        ("deposit", {"amount": "NaN"}, "amount", "digits with a point"),
        ("deposit", {"amount": "0.001"}, "amount", "EUR has 2 decimals"),
        ("deposit", {"amount": "100000000000.01"}, "amount", "above the limit"),
        ("deposit", {"amount": ""}, "amount", "required"),
        ("deposit", {"amount": "1.00", "reason": " "}, "reason", "Say why"),
        ("deposit", {"amount": "1.00", "contra": "casino"}, "contra", "Select a valid choice"),
        ("withdraw", {"amount": "15.01"}, "amount", "Available are 15.00 EUR."),
        ("transfer", {"amount": "15.01", "target_account_id": "BOB"}, "amount", "Available are 15.00 EUR."),
        ("transfer", {"amount": "1.00", "target_account_id": "ANN"}, "target_account_id", "needs two accounts"),
        ("transfer", {"amount": "1.00", "target_account_id": str(UUID(int=9))}, "target_account_id", "no account"),
        ("transfer", {"amount": "1.00", "target_account_id": "Bob"}, "target_account_id", "whole account id"),
        ("transfer", {"amount": "1.00", "target_account_id": "YEN"}, "__all__", "JPY"),
        ("transfer", {"amount": "1.00", "target_account_id": "FROZEN"}, "__all__", "unfreeze"),
        ("change-overdraft-limit", {"limit": "100000000.01"}, "limit", "outside of what the product allows"),
        ("unfreeze", {}, "__all__", "not frozen"),
        ("close", {}, "__all__", "balance of zero"),
    ],
)
def test_a_refusal_is_told_where_it_belongs_and_nothing_changes(
    bank: Bank, supervisor: Client, command: str, fields: dict[str, str], field: str, says: str
) -> None:
    ann, bob, frozen = bank.open("10.00", overdraft="5.00"), bank.open(owner="Bob"), bank.open(owner="Fay")
    bank.freeze(frozen)
    ids = {"ANN": ann, "BOB": bob, "FROZEN": frozen, "YEN": Bank(currency="JPY").open(owner="Chiyo")}
    before = bank.footprint()

    answer = send(
        supervisor, at(ann, command), **{name: str(ids.get(value, value)) for name, value in fields.items()}
    )

    assert answer.status_code == 200
    told = errors(answer)
    assert list(told) == [field]
    assert says in told[field][0]
    assert "Not done." in answer.content.decode()
    assert bank.footprint() == before


@pytest.mark.parametrize("frozen", ["Ann", "Bob"])
def test_a_refusal_of_what_touches_two_accounts_names_the_one_that_is_the_reason(
    bank: Bank, supervisor: Client, frozen: str
) -> None:
    ids = {"Ann": bank.open("10.00"), "Bob": bank.open(owner="Bob")}
    moved = bank.transfer(ids["Ann"], ids["Bob"], "1.00").transaction_id
    bank.freeze(ids[frozen])
    before = bank.footprint()

    fields = {"amount": "1.00", "target_account_id": str(ids["Bob"])}
    for answer in (
        send(supervisor, at(ids["Ann"], "transfer"), **fields),
        send(supervisor, reverse_of(moved)),
    ):
        (told,) = errors(answer)["__all__"]
        assert f"It is the account of {frozen}, {ids[frozen]}." in told
    assert bank.footprint() == before


def test_a_form_that_is_sent_twice_has_one_effect(bank: Bank, teller: Client) -> None:
    ann = bank.open("1.00")
    form = {**form_of(teller, at(ann, "deposit")), "amount": "5.00", "reason": "a double click"}

    answers = [teller.post(at(ann, "deposit"), form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert "done." in messages(answers[0])[-1]
    assert "had been done before" in messages(answers[1])[-1]
    assert bank.balance(ann) == 600
    assert Event.objects.filter(aggregate_id=ann, event_type="Deposited").count() == 2


def test_a_form_that_is_sent_again_with_another_amount_is_refused_and_gets_a_new_key(
    bank: Bank, teller: Client
) -> None:
    ann = bank.open("1.00")
    form = {**form_of(teller, at(ann, "deposit")), "amount": "5.00", "reason": "first"}
    teller.post(at(ann, "deposit"), form)
    before = bank.footprint()

    answer = teller.post(at(ann, "deposit"), {**form, "amount": "6.00"})

    assert "was used for another command" in errors(answer)["__all__"][0]
    assert bank.footprint() == before
    assert answer.context["form"]["idempotency_key"].value() != form["idempotency_key"]


def test_two_members_of_staff_may_hold_the_same_key(bank: Bank, teller: Client, supervisor: Client) -> None:
    ann = bank.open()
    key = str(uuid4())

    for client in (teller, supervisor):
        assert send(client, at(ann, "deposit"), amount="1.00", idempotency_key=key).status_code == 302

    assert bank.balance(ann) == 200


def test_staff_decide_on_what_they_saw(bank: Bank, teller: Client) -> None:
    ann = bank.open("100.00")
    form = {**form_of(teller, at(ann, "withdraw")), "amount": "60.00", "reason": "There are 100.00, it said"}
    bank.withdraw(ann, "30.00")
    before = bank.footprint()

    answer = teller.post(at(ann, "withdraw"), form)

    page = answer.content.decode()
    assert "Look at its new state, then decide anew." in errors(answer)["__all__"][0]
    assert "70.00" in page
    assert bank.footprint() == before
    form["expected_version"] = str(answer.context["form"]["expected_version"].value())
    assert teller.post(at(ann, "withdraw"), form).status_code == 302
    assert bank.balance(ann) == 1000


def test_an_account_is_frozen_and_unfrozen_however_much_happened_on_it_since_the_form_was_shown(
    bank: Bank, supervisor: Client
) -> None:
    ann = bank.open("100.00")
    freeze = form_of(supervisor, at(ann, "freeze")) | {"reason": "Stolen card"}
    bank.deposit(ann, "1.00")
    assert supervisor.post(at(ann, "freeze"), freeze).status_code == 302
    assert (Account.objects.get(pk=ann).status, bank.balance(ann)) == ("frozen", 10100)

    unfreeze = form_of(supervisor, at(ann, "unfreeze")) | {"reason": "Found again"}
    bank.unfreeze(ann)
    bank.freeze(ann)
    assert supervisor.post(at(ann, "unfreeze"), unfreeze).status_code == 302
    assert Account.objects.get(pk=ann).status == "open"


def test_a_hold_is_released_however_much_happened_on_its_account_since_the_form_was_shown(
    bank: Bank, teller: Client
) -> None:
    ann = bank.open("10.00")
    hold = bank.hold(ann, "4.00")
    form = form_of(teller, on_hold(hold, "release")) | {"reason": "The shop gave it up"}
    bank.deposit(ann, "1.00")

    assert teller.post(on_hold(hold, "release"), form).status_code == 302

    assert Hold.objects.get().status == "released"
    assert (Account.objects.get(pk=ann).held, bank.balance(ann)) == (0, 1100)


@pytest.mark.parametrize("command", ["deposit", "place-hold", "change-overdraft-limit", "close"])
def test_what_is_judged_by_what_the_account_is_counts_for_what_was_seen_alone(
    bank: Bank, supervisor: Client, command: str
) -> None:
    ann = bank.open()
    form = form_of(supervisor, at(ann, command)) | {"reason": "a test", "amount": "1.00", "limit": "1.00"}
    bank.deposit(ann, "1.00")
    bank.withdraw(ann, "1.00")
    before = bank.footprint()

    answer = supervisor.post(at(ann, command), form)

    assert "Look at its new state, then decide anew." in errors(answer)["__all__"][0]
    assert bank.footprint() == before


@pytest.mark.parametrize("missing", ["idempotency_key", "expected_version"])
def test_a_form_without_its_hidden_fields_does_nothing(bank: Bank, teller: Client, missing: str) -> None:
    ann = bank.open("1.00")
    form = {**form_of(teller, at(ann, "deposit")), "amount": "5.00", "reason": "hand-made"}
    del form[missing]
    before = bank.footprint()

    answer = teller.post(at(ann, "deposit"), form)

    assert "The form came incomplete, so nothing was done." in answer.content.decode()
    assert bank.footprint() == before


def test_what_people_write_is_shown_as_text(bank: Bank, supervisor: Client) -> None:
    evil = "<script>alert(1)</script>"
    ann = bank.open("1.00", owner=evil)

    send(supervisor, at(ann, "deposit"), amount="1.00", description=evil, reason=evil)

    for path in (
        at(ann, "change"),
        "/admin/accounts/account/",
        f"/admin/eventstore/event/{last_event().position}/change/",
    ):
        page = supervisor.get(path).content.decode()
        assert evil not in page
        assert "&lt;script&gt;" in page
