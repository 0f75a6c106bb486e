"""Each batch of commands is one operation in hand, from before its first statement until its outcome is known."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from accounts.services.envelope import Envelope
from eventstore.errors import TooManyCommands
from ops.conf import get_settings
from ops.operations import TooManyOperations, operation, require_room


@contextmanager
def in_hand(envelopes: Sequence[Envelope]) -> Iterator[None]:
    """Shows the batch while the block runs, over all its attempts. The accounts are named once they are known.

    Raises:
        TooManyCommands: MAX_CONCURRENT_OPERATIONS are in hand; the block was not begun.
    """
    try:
        require_room()
    except TooManyOperations as error:
        raise TooManyCommands("the bank has as many operations in hand as it takes at once") from error
    names = dict.fromkeys(type(envelope.command).__name__ for envelope in envelopes)
    timeout = get_settings().deadlock_operation_timeout
    with operation("command", ", ".join(names), timeout=timeout, actor=_actor(envelopes)):
        yield


def _actor(envelopes: Sequence[Envelope]) -> str:
    actors = {envelope.context.actor for envelope in envelopes}
    return actors.pop() if len(actors) == 1 else f"{len(actors)} callers"
