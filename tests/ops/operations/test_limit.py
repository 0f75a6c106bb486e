"""Beyond MAX_CONCURRENT_OPERATIONS the bank says so at once and does nothing, instead of hanging."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.errors import TooManyCommands
from ops import board
from ops.board import facts, writing
from ops.conf import get_settings
from ops.operations import TooManyOperations, operation, require_room
from ops.operations.limit import TRUST
from tests.accounts.admin.forms import errors, form_of
from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank
from tests.configured import configured
from tests.processes import operation_elsewhere
from tests.staff import make_staff, signed_in

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def full(bank: Bank) -> Iterator[None]:
    """The one operation that there is room for is in hand."""
    with configured(max_concurrent_operations=1), operation("job", "endless"):
        yield


def test_the_api_answers_503_with_retry_after_and_nothing_is_done(
    api: Caller, bank: Bank, request: pytest.FixtureRequest
) -> None:
    account_id = api.open()
    before = bank.footprint()
    request.getfixturevalue("full")

    began = time.monotonic()
    single = api.post(f"/accounts/{account_id}/deposits", BODY, key="later")
    batch = api.post("/batches", {"commands": [{"command": "deposit", "account_id": account_id, **BODY}]})

    assert [refusal(answer) for answer in (single, batch)] == [(503, "overloaded")] * 2
    assert [answer["Retry-After"] for answer in (single, batch)] == ["1", "1"]
    assert "as much in hand as it takes" in single.json()["detail"]
    assert time.monotonic() - began < 1
    assert bank.footprint() == before
    assert api.get(f"/accounts/{account_id}").status_code == 200, "reading goes on"


def test_the_same_key_is_taken_when_there_is_room_again(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    with configured(max_concurrent_operations=1), operation("job", "in the way"):
        assert api.post(f"/accounts/{account_id}/deposits", BODY, key="once").status_code == 503
    assert [api.post(f"/accounts/{account_id}/deposits", BODY, key="once").status_code for _ in (1, 2)] == [200, 200]
    assert api.balance(account_id) == "1.00"


def test_the_admin_says_that_the_bank_is_busy(bank: Bank) -> None:
    ann, teller = bank.open("1.00"), signed_in(make_staff("teller"))
    url = f"/admin/accounts/account/{ann}/deposit/"
    form = {**form_of(teller, url), "amount": "5.00", "reason": "at the desk"}
    before = bank.footprint()
    with configured(max_concurrent_operations=1):
        answer = teller.post(url, form)
    assert answer.status_code == 503
    assert errors(answer)["__all__"][0].startswith("The bank is busy")
    assert bank.footprint() == before


def test_operations_of_other_processes_count(bank: Bank) -> None:
    ann = bank.open()
    with operation_elsewhere(), configured(max_concurrent_operations=1):
        time.sleep(TRUST)
        with pytest.raises(TooManyCommands):
            bank.deposit(ann, "1.00")
    time.sleep(TRUST)
    bank.deposit(ann, "1.00")
    assert bank.balance(ann) == 100


@pytest.fixture
def unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has no board: in /proc nobody can make a file."""
    (tmp_path / "board").symlink_to("/proc")
    monkeypatch.setattr(writing, "_board", None)
    with configured(board_dir=tmp_path / "board"):
        yield
    time.sleep(TRUST)


@pytest.mark.usefixtures("unseen")
def test_operations_of_a_process_that_nobody_sees_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TRY_AGAIN_AFTER", 0.0)
    with configured(max_concurrent_operations=2), operation("job", "first"):
        time.sleep(TRUST)
        require_room()
        with operation("job", "second"):
            time.sleep(TRUST)
            facts.tell()  # tries in vain
            with pytest.raises(TooManyOperations, match="2 operations are in hand"):
                require_room()
        require_room()


def test_a_refusal_is_counted_and_says_how_many_are_in_hand(full: None) -> None:
    before = board.total("operations_refused", 60)
    with pytest.raises(TooManyOperations, match="1 operations are in hand, and MAX_CONCURRENT_OPERATIONS is 1"):
        require_room()
    assert board.total("operations_refused", 60) == before + 1
    assert get_settings().max_concurrent_operations == 1
