"""manage.py dead_letters: what could not be applied or read, seen and resolved from the command line."""

import pytest
from django.core.management import CommandError, call_command

from accounts.projections.transactions import Transactions
from eventstore.models import DeadLetter
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.runner import catch_up
from ops.approvals.carrying_out import carry_out
from ops.approvals.models import Approval
from ops.models import AuditEntry
from tests.bank import Bank
from tests.eventstore.poison import amounts, poisoned


def test_the_command_lists_shows_retries_and_discards(
    bank: Bank, fragile: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")

    call_command("dead_letters", "list")
    assert "cannot take 666" in capsys.readouterr().out
    call_command("dead_letters", "show", str(letter.id))
    assert "choosy" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot take 666"):
        call_command("dead_letters", "retry", str(letter.id), "--by", "alice")
    with pytest.raises(CommandError, match="reason"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "alice")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")
    with pytest.raises(CommandError, match="takes a second person"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--confirm")
    letter.refresh_from_db()
    assert letter.state == "failed"
    fragile["mended"] = True
    call_command("dead_letters", "retry", str(letter.id), "--by", "alice")
    assert "4 events applied" in capsys.readouterr().out
    told = (
        AuditEntry.objects.filter(action="retry_dead_letter").order_by("pk").values_list("actor", "outcome", "detail")
    )
    assert list(told) == [
        ("command:alice", "refused", {"applied": 0, "left": 4}),
        ("command:alice", "done", {"applied": 4, "left": 0}),
    ]


@pytest.mark.usefixtures("fragile")
def test_the_command_discards_when_a_second_person_confirms(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    with pytest.raises(CommandError, match="nobody has asked"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")

    call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")

    assert "3 events were applied, 0 still wait" in capsys.readouterr().out
    letter.refresh_from_db()
    assert (letter.state, letter.discard_requested_by, letter.resolved_by) == (
        "discarded",
        "command:alice",
        "command:bob",
    )
    assert amounts(sick) == [100, 200, 10, 10, 10]


@pytest.mark.usefixtures("fragile")
def test_a_discard_that_was_interrupted_is_carried_on_and_applies_what_was_parked(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "fitting", die)
        with pytest.raises(CommandError, match="broken off"):
            call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")
    letter.refresh_from_db()
    assert (letter.state, amounts(sick)) == ("discarded", [100, 200])

    approval = carry_out(Approval.objects.get().pk)

    assert approval.result == ["The event is left out.", "3 events were applied, 0 still wait."]
    assert amounts(sick) == [100, 200, 10, 10, 10]
    assert not DeadLetter.objects.filter(state__in=("failed", "parked")).exists()


def test_the_command_acknowledges_an_unreadable_message(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    dead_letters.record_unreadable(
        topic="t", partition=1, offset=7, key=b"k", value=b"\xff", error=ValueError("no JSON")
    )
    number = str(DeadLetter.objects.get().id)
    with pytest.raises(CommandError, match="needs a reason"):
        call_command("dead_letters", "acknowledge", number, "--by", "alice", "--reason", " ")
    call_command("dead_letters", "acknowledge", number, "--by", "alice", "--reason", "a test")
    with pytest.raises(CommandError, match="waits for somebody"):
        call_command("dead_letters", "acknowledge", number, "--by", "bob", "--reason", "again")

    capsys.readouterr()
    call_command("dead_letters", "list")
    assert "There are no dead letters." in capsys.readouterr().out
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.resolved_by, letter.reason) == ("unreadable", "command:alice", "a test")
    assert AuditEntry.objects.get(action="acknowledge_dead_letter").actor == "command:alice"


def unreadable(count: int) -> list[str]:
    for offset in range(count):
        dead_letters.record_unreadable(
            topic="t", partition=1, offset=offset, key=None, value=b"?", error=ValueError("no JSON")
        )
    return [str(number) for number in DeadLetter.objects.order_by("id").values_list("id", flat=True)]


def test_the_command_lists_some_and_says_how_to_see_the_others(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = unreadable(3)

    def listed(*options: str) -> list[str]:
        call_command("dead_letters", "list", *options)
        return [line.split()[0] for line in capsys.readouterr().out.splitlines() if "unreadable" in line]

    call_command("dead_letters", "list", "--limit", "2")
    assert f"There are more: the same with --after {second} goes on with them." in capsys.readouterr().out
    call_command("dead_letters", "list", "--limit", "3")
    assert "There are more" not in capsys.readouterr().out
    assert listed("--limit", "2") == [first, second]
    assert listed("--limit", "2", "--after", second) == [third]
    assert listed("--all", "--limit", "1", "--after", third) == [second]
    assert listed("--after", third) == []
    with pytest.raises(CommandError, match="--limit must be from 1 to 10000"):
        call_command("dead_letters", "list", "--limit", "0")


def test_the_command_acknowledges_several_at_once_or_none(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    letters = unreadable(3)
    with pytest.raises(CommandError, match="Nothing was changed: dead letter 999999 is no unreadable message"):
        call_command("dead_letters", "acknowledge", *letters, "999999", "--by", "alice", "--reason", "a test")
    assert DeadLetter.objects.filter(resolved_at=None).count() == 3
    assert not AuditEntry.objects.exists()

    call_command("dead_letters", "acknowledge", *letters, "--by", "alice", "--reason", "a test")

    assert "All 3 are acknowledged" in capsys.readouterr().out
    assert set(DeadLetter.objects.values_list("resolved_by", "reason")) == {("command:alice", "a test")}
    assert AuditEntry.objects.filter(action="acknowledge_dead_letter").count() == 3
