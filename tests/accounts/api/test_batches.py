"""POST /batches executes many commands in one request, with an outcome for each."""

from cProfile import Profile
from typing import Any

import psycopg
import pytest

from accounts.api.items import Reader, Sender
from accounts.api.scopes import PAYMENTS_WRITE
from eventstore.events import Context
from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, openapi, refusal
from tests.bank import Bank


def deposit(account_id: object, amount: Any = "1.00", **fields: Any) -> dict[str, Any]:
    return {"command": "deposit", "account_id": str(account_id), "amount": amount, "currency": "EUR", **fields}


def withdraw(account_id: object, amount: str) -> dict[str, Any]:
    return deposit(account_id, amount) | {"command": "withdraw"}


def told(answer: Any) -> list[str]:
    """ "executed", or the code of the problem, for each command."""
    return [
        outcome["status"] if outcome["status"] == "executed" else outcome["problem"]["code"]
        for outcome in answer.json()["outcomes"]
    ]


def test_each_command_sees_the_effect_of_those_before_it(api: Caller) -> None:
    """Row 8: a second command on the same account conflicted with the first."""
    account_id = api.open()

    answer = api.post("/batches", {"commands": [deposit(account_id, "5.00"), withdraw(account_id, "4.00")] * 3})

    assert told(answer) == ["executed"] * 6
    after = [outcome["accounts"][0] for outcome in answer.json()["outcomes"]]
    assert [account["balance"] for account in after] == ["5.00", "1.00", "6.00", "2.00", "7.00", "3.00"]
    assert [account["version"] for account in after] == [2, 3, 4, 5, 6, 7]
    assert api.balance(account_id) == "3.00"


def test_every_kind_of_command_can_be_in_a_batch(api: Caller) -> None:
    ann, bob, done = api.open("10.00"), api.open(), api.open()
    paid = api.post(f"/accounts/{ann}/deposits", {"amount": "1.00", "currency": "EUR"}).json()["transaction_id"]

    answer = api.post(
        "/batches",
        {
            "commands": [
                {"command": "open_account", "owner": "Cid", "currency": "JPY", "opening_deposit": "500"},
                {
                    "command": "transfer",
                    "account_id": ann,
                    "target_account_id": bob,
                    "amount": "2.00",
                    "currency": "EUR",
                },
                {
                    "command": "change_overdraft_limit",
                    "account_id": bob,
                    "overdraft_limit": "3.00",
                    "currency": "EUR",
                },
                {"command": "freeze", "account_id": bob},
                {"command": "unfreeze", "account_id": bob},
                {"command": "close", "account_id": done},
                {"command": "reverse", "transaction_id": paid},
            ]
        },
    )

    assert told(answer) == ["executed"] * 7
    assert answer.json()["outcomes"][0]["accounts"][0]["balance"] == "500"
    assert (api.balance(ann), api.balance(bob)) == ("8.00", "2.00")


def test_refused_commands_do_nothing_and_stop_nobody(api: Caller, bank: Bank) -> None:
    """Rows 1, 4 and 8: a batch skipped validation; one oversized value failed it; nobody was told what was left."""
    account_id, closed, theirs = api.open("1.00"), api.open(), bank.open("9.00")
    api.post(f"/accounts/{closed}/close")
    wrong = [
        deposit(account_id, "9" * 18),
        deposit(account_id, "-1.00"),
        deposit(account_id, 1),
        deposit(account_id, "0.001"),
        deposit(account_id, ammount="1.00"),
        withdraw(account_id, "2.01"),
        deposit(closed),
        withdraw(theirs, "1.00"),
        deposit("nowhere"),
        {"command": "steal"},
        {"command": ["deposit"]},
        {},
        None,
        "deposit",
        [1],
    ]

    answer = api.post("/batches", {"commands": [deposit(account_id), *wrong, withdraw(account_id, "2.00")]})

    assert told(answer) == [
        "executed",
        "amount_too_large",
        "invalid_amount",
        "invalid_amount",
        "invalid_amount",
        "unknown_field",
        "insufficient_funds",
        "account_closed",
        "account_not_found",
        *["validation_failed"] * 7,
        "executed",
    ]
    assert answer.status_code == 200
    assert Event.objects.filter(command_id__isnull=False, metadata__request_id=answer["X-Request-ID"]).count() == 2
    assert (api.balance(account_id), bank.balance(theirs)) == ("0.00", 900)


@pytest.mark.parametrize("wrong", [withdraw, deposit])
def test_an_atomic_batch_is_executed_as_a_whole_or_not_at_all(api: Caller, bank: Bank, wrong: Any) -> None:
    """Row 8: a failure midway left the earlier commands committed."""
    account_id = api.open("1.00")
    before = bank.footprint()
    refused = withdraw(account_id, "99.00") if wrong is withdraw else deposit(account_id, "1e3")

    answer = api.post("/batches", {"atomic": True, "commands": [deposit(account_id), refused, deposit(account_id)]})

    assert refusal(answer) == (422, "batch_rejected")
    code = "insufficient_funds" if wrong is withdraw else "invalid_amount"
    assert told(answer) == ["batch_rejected", code, "batch_rejected"]
    assert bank.footprint() == before


def test_a_command_on_an_account_that_contradicts_its_events_stops_nobody_else(
    api: Caller, sweeper: psycopg.Connection
) -> None:
    ann, bob = api.open("1.00"), api.open("1.00")
    sweeper.execute("UPDATE accounts SET version = version + 1 WHERE id = %s", (ann,))
    body = {"commands": [deposit(ann), deposit(bob)]}

    answer = api.post("/batches", body, key="a")

    assert answer.status_code == 200
    assert told(answer) == ["broken_history", "executed"]
    problem = answer.json()["outcomes"][0]["problem"]
    assert problem["status"] == 500
    assert "bank staff must mend it" in problem["detail"]
    assert (api.balance(ann), api.balance(bob)) == ("1.00", "2.00")
    sweeper.execute("UPDATE accounts SET version = version - 1 WHERE id = %s", (ann,))
    assert told(api.post("/batches", body, key="a")) == ["executed", "executed"]
    assert (api.balance(ann), api.balance(bob)) == ("2.00", "2.00")


def test_an_atomic_batch_that_can_happen_is_executed(api: Caller) -> None:
    account_id = api.open()

    assert told(api.post("/batches", {"atomic": True, "commands": [deposit(account_id)] * 3})) == ["executed"] * 3
    assert api.balance(account_id) == "3.00"


def test_sent_again_it_answers_the_same_and_moves_nothing(api: Caller, bank: Bank) -> None:
    """Row 2: a command that had timed out was executed again."""
    account_id = api.open()
    body = {"commands": [deposit(account_id), {"command": "open_account", "owner": "Bob", "currency": "EUR"}]}
    first = api.post("/batches", body, key="b-1")
    before = bank.footprint()

    again = api.post("/batches", body, key="b-1")

    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert bank.footprint() == before


def test_refused_commands_are_tried_again_with_the_same_key_and_executed_ones_are_not(api: Caller) -> None:
    account_id = api.open()
    body = {"commands": [withdraw(account_id, "1.00"), deposit(account_id)]}

    assert told(api.post("/batches", body, key="b-2")) == ["insufficient_funds", "executed"]
    assert told(api.post("/batches", body, key="b-2")) == ["executed", "executed"]
    assert api.balance(account_id) == "0.00"


def test_the_same_key_with_other_commands_is_refused_command_by_command(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    api.post("/batches", {"commands": [deposit(account_id, "1.00")]}, key="b-3")
    before = bank.footprint()

    answer = api.post("/batches", {"commands": [deposit(account_id, "2.00")]}, key="b-3")

    assert told(answer) == ["idempotency_key_reused"]
    assert answer.json()["outcomes"][0]["problem"]["account_id"] == account_id
    assert bank.footprint() == before


def test_a_command_may_bring_its_own_key(api: Caller) -> None:
    account_id = api.open()
    own = deposit(account_id, idempotency_key="mine")

    twice = api.post("/batches", {"commands": [own, own]}).json()["outcomes"]
    single = api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}, key="mine")

    assert twice[0] == twice[1]
    assert single["Idempotent-Replayed"] == "true"
    assert api.balance(account_id) == "1.00"


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "a\n", 7, None])
def test_a_key_of_its_own_must_be_a_key(api: Caller, bank: Bank, key: Any) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post("/batches", {"commands": [deposit(account_id, idempotency_key=key)]})

    assert told(answer) == ["validation_failed"]
    assert bank.footprint() == before


def test_a_command_may_say_which_version_it_expects(api: Caller) -> None:
    account_id = api.open()
    commands = [deposit(account_id, expected_version=1), deposit(account_id, expected_version=1)]

    answer = api.post("/batches", {"commands": commands})

    assert told(answer) == ["executed", "version_mismatch"]
    assert told(api.post("/batches", {"commands": [deposit(account_id, expected_version=True)]})) == [
        "validation_failed"
    ]
    assert refusal(api.post("/batches", {"commands": commands}, If_Match='"1"')) == (400, "malformed_request")
    assert api.balance(account_id) == "1.00"


def test_what_opens_an_account_expects_no_version_of_it(api: Caller, bank: Bank) -> None:
    before = bank.footprint()
    item = {"command": "open_account", "owner": "Eve", "currency": "EUR", "expected_version": 7}

    answer = api.post("/batches", {"commands": [item]})

    assert told(answer) == ["unknown_field"]
    assert [error["field"] for error in answer.json()["outcomes"][0]["problem"]["errors"]] == ["expected_version"]
    assert bank.footprint() == before
    offered = {
        name: schema["properties"]
        for name, schema in openapi()["components"]["schemas"].items()
        if name.startswith("Batch") and "command" in schema.get("properties", {})
    }
    assert [name for name, fields in offered.items() if "expected_version" not in fields] == ["BatchOpenAccount"]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("ammount", "amount"), ("amuont", "amount"), ("kontra", "contra"), ("accountId", "account_id"), ("foo", "")],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(api: Caller, wrong: str, meant: str) -> None:
    answer = api.post("/batches", {"commands": [deposit(api.open(), **{wrong: "1.00"})]})

    [problem] = [outcome["problem"] for outcome in answer.json()["outcomes"]]
    [message] = [error["message"] for error in problem["errors"] if error["field"] == wrong]
    assert message == "There is no such field." + (f" Did you mean {meant}?" if meant else "")


def test_nonsense_costs_little(api: Caller) -> None:
    """Counted in calls of functions: a right item takes some hundred, and ten wrong names took 5,600."""
    wrong = dict.fromkeys(["ammount", "curency", "descripton", "kontra", "accountid", "expectedversion"], "1")
    wrong |= dict.fromkeys(["idempotencykey", "comand", "amounts", "currencies"], "1")
    reader = Reader(Sender.of_client(api.client, (PAYMENTS_WRITE,), "k", Context(api.client.actor, "api")))
    item = deposit(api.open(), **wrong)
    profile = Profile()

    profile.runcall(lambda: [reader.read(item, number) for number in range(100)])

    assert sum(entry.callcount for entry in profile.getstats()) < 100 * 2_000  # type: ignore[attr-defined]


def test_each_command_takes_its_own_scope(api: Caller, bank: Bank) -> None:
    """Row 21: roles were never checked."""
    account_id = api.open()
    payer = new_caller(scopes=(PAYMENTS_WRITE,))
    before = bank.balance(account_id)  # type: ignore[arg-type]

    answer = payer.post(
        "/batches",
        {
            "commands": [
                {"command": "freeze", "account_id": account_id},
                {
                    "command": "change_overdraft_limit",
                    "account_id": account_id,
                    "overdraft_limit": "9",
                    "currency": "EUR",
                },
                {"command": "open_account", "owner": "Bob", "currency": "EUR"},
                deposit(account_id),
            ]
        },
    )

    assert told(answer) == ["permission_denied"] * 3 + ["executed"]
    assert bank.balance(account_id) == before + 100  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "commands"),
        ({"commands": []}, "commands"),
        ({"commands": {}}, "commands"),
        ({"commands": None}, "commands"),
        ({"commands": [{}] * 10_001}, "commands"),
        ({"commands": [{}], "atomic": "true"}, "atomic"),
        ({"commands": [{}], "atomic": 1}, "atomic"),
        ({"commands": [{}], "atomc": True}, "atomc"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(api: Caller, bank: Bank, body: Any, field: str) -> None:
    before = bank.footprint()

    answer = api.post("/batches", body)

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {field}
    assert bank.footprint() == before


def test_a_batch_of_the_largest_size_is_executed(api: Caller) -> None:
    account_id = api.open()

    answer = api.post("/batches", {"commands": [deposit(account_id, "0.01")] * 10_000})

    assert told(answer) == ["executed"] * 10_000
    assert api.balance(account_id) == "100.00"
