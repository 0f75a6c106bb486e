"""A capture pays another account where it names one: in the same transaction, as a transfer does."""

from django.core.management import call_command

from accounts.domain.commands import CaptureHold, PlaceHold
from accounts.domain.errors import ErrorCode
from accounts.domain.money import Money
from accounts.models import JournalLine, Transaction
from accounts.services import Executed, execute, idempotency_key
from eventstore import projections
from eventstore.events import new_id
from eventstore.idempotency import fingerprint
from eventstore.projections.runner import catch_up
from tests.bank import Bank, funds, refused
from tests.threads import together


def test_a_capture_may_pay_another_account(bank: Bank) -> None:
    ann, shop = bank.open("100.00"), bank.open()
    hold = new_id()
    bank.do(PlaceHold(ann, hold, Money(8_000, "EUR"), description="Shoes"))
    captured = bank.capture(hold, "72.50", target=shop)

    assert (funds(ann), funds(shop)) == ((2_750, 0, 2_750), (7_250, 0, 7_250))
    assert [account["id"] for account in captured.result["accounts"]] == [str(ann), str(shop)]
    assert captured.result["hold"]["status"] == "captured"
    catch_up(projections.registered())
    lines = JournalLine.objects.filter(transaction_id=captured.transaction_id).order_by("id")
    assert [(line.ledger_account, line.amount) for line in lines] == [
        (f"account:{ann}", -7_250),
        (f"account:{shop}", 7_250),
    ]
    postings = Transaction.objects.filter(transaction_id=captured.transaction_id).order_by("position")
    assert [(row.kind, row.contra, row.description) for row in postings] == [
        ("HoldCaptured", f"account:{shop}", "Shoes"),
        ("TransferReceived", f"account:{ann}", "Shoes"),
    ]
    call_command("verify_ledger")


def test_a_capture_to_another_account_is_reversed_on_both(bank: Bank) -> None:
    ann, shop = bank.open("100.00"), bank.open()
    captured = bank.capture(bank.hold(ann, "80.00"), target=shop)
    bank.reverse(captured.transaction_id)

    assert (funds(ann), funds(shop)) == ((10_000, 0, 10_000), (0, 0, 0))
    call_command("verify_ledger")


def test_one_hold_may_pay_several_accounts_in_parts(bank: Bank) -> None:
    ann, shop, carrier = bank.open("100.00"), bank.open(), bank.open()
    hold = bank.hold(ann, "80.00")

    bank.capture(hold, "70.00", final=False, target=shop)
    bank.capture(hold, target=carrier)

    assert (funds(ann), bank.balance(shop), bank.balance(carrier)) == ((2_000, 0, 2_000), 7_000, 1_000)


def test_a_capture_to_an_account_that_cannot_be_paid_is_refused(bank: Bank) -> None:
    ann, frozen, closed = bank.open("100.00"), bank.open(), bank.open()
    yen = Bank("JPY").open()
    hold = bank.hold(ann, "80.00")
    bank.freeze(frozen)
    bank.close(closed)

    for target, code in (
        (new_id(), ErrorCode.ACCOUNT_NOT_FOUND),
        (ann, ErrorCode.SAME_ACCOUNT),
        (frozen, ErrorCode.ACCOUNT_FROZEN),
        (closed, ErrorCode.ACCOUNT_CLOSED),
        (yen, ErrorCode.CURRENCY_MISMATCH),
    ):
        command = CaptureHold(hold, target_id=target)
        assert refused(bank, lambda command=command: bank.do(command)) is code


def test_a_hold_that_is_not_there_is_told_before_the_account_that_its_capture_pays(bank: Bank) -> None:
    shop = bank.open()
    command = CaptureHold(new_id(), target_id=shop)

    assert refused(bank, lambda: bank.do(command)) is ErrorCode.HOLD_NOT_FOUND
    assert refused(bank, lambda: bank.do(command, expected_version=9)) is ErrorCode.HOLD_NOT_FOUND


def test_a_batch_places_a_hold_and_pays_another_account_from_it(bank: Bank) -> None:
    ann, shop, hold = bank.open("100.00"), bank.open(), new_id()
    outcomes = execute(
        [
            bank.envelope(PlaceHold(ann, hold, Money(100, "EUR"))),
            bank.envelope(CaptureHold(hold, Money(60, "EUR"), target_id=shop)),
        ]
    )

    assert [type(outcome) for outcome in outcomes] == [Executed, Executed]
    assert (funds(ann), funds(shop)) == ((9_940, 0, 9_940), (60, 0, 60))
    call_command("verify_ledger")


def test_captures_across_each_other_never_block_for_good(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open("100.00")
    holds = [(bank.hold(ann, "1.00"), bob) for _ in range(8)] + [(bank.hold(bob, "1.00"), ann) for _ in range(8)]

    together([lambda hold=hold, target=target: bank.capture(hold, target=target) for hold, target in holds])

    assert (funds(ann), funds(bob)) == ((10_000, 0, 10_000), (10_000, 0, 10_000))
    call_command("verify_ledger")


def test_the_key_of_a_capture_is_that_of_the_time_before_targets(bank: Bank) -> None:
    hold = new_id()
    then = {"hold_id": str(hold), "amount": None, "is_final": True, "description": ""}
    key = lambda command: idempotency_key(scope="test", key="k", command=command).fingerprint  # noqa: E731

    assert key(CaptureHold(hold)) == fingerprint({"command": "CaptureHold", **then})
    assert key(CaptureHold(hold, target_id=new_id())) != key(CaptureHold(hold))
