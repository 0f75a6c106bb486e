"""A line of a file of seals stands for one stretch of the feed, behind the one before it, and for nothing else."""

import hashlib

import psycopg
import pytest
from msgspec.structs import replace

from eventstore import seals
from eventstore.models import Event
from eventstore.seals import Seal
from tests.bank import Bank


@pytest.fixture
def sealed(bank: Bank, sweeper: psycopg.Connection) -> list[Seal]:
    """Two seals, with a hole behind the first."""
    ann = bank.open("1.00")
    made: list[Seal] = []
    for _ in range(2):
        seal = seals.make(made)
        assert seal is not None
        made.append(seal)
        sweeper.execute("SELECT nextval('events_position_seq')")
        bank.deposit(ann, "1.00")
    return made


def test_each_digest_begins_with_the_one_before_it(sealed: list[Seal]) -> None:
    digest, after = bytes(32), 0
    for seal in sealed:
        content = digest
        for event in Event.objects.filter(position__gt=after, position__lte=seal.position).order_by("position"):
            content += event.position.to_bytes(8, "big") + bytes(event.hash)
        digest, after = hashlib.sha256(content).digest(), seal.position
        assert seal.digest == digest.hex()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "changes",
    [
        lambda seal: {"events": seal.events + 1},
        lambda seal: {"position": seal.position + 1},
        lambda seal: {"digest": hashlib.sha256(b"").hexdigest()},
    ],
    ids=["how many", "up to where", "of what"],
)
def test_a_seal_of_which_anything_was_changed_fits_the_books_no_more(sealed: list[Seal], which: int, changes) -> None:  # type: ignore[no-untyped-def]
    assert list(seals.differences(sealed)) == []
    changed = list(sealed)
    changed[which] = replace(sealed[which], **changes(sealed[which]))

    assert list(seals.differences(changed)) != []


def test_a_line_that_is_there_twice_or_before_its_time_is_refused(sealed: list[Seal]) -> None:
    first, second = (seal.line() for seal in sealed)
    assert seals.read([first, second]) == sealed
    for lines in ([first, first], [second, first], [first, second, second]):
        with pytest.raises(ValueError, match=f"line {len(lines)} does not lie behind"):
            seals.read(lines)
