"""Single commands that arrive together are executed together: group commit, in the callers' own threads.

While a batch is on its way through the database, the commands that arrive wait; when it is done, one of the waiting
callers takes all of them as the next batch. So nothing is held back when nothing is in hand, batches grow with the
load by themselves, and there is no thread of its own that could die or stall: the idea is that of flat combining
(Hendler and others, 2010).

One command cannot hurt the others. A batch of several waits for locks only briefly; when it fails as a whole, its
halves are run by callers of theirs beside the line, where nobody else waits for them, down to the single command that
then waits as long as it may, and sees its own error. Where the failure would only repeat itself (no connection, too
many operations) or what happened is not known, every caller of the batch is told so.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from accounts.services.envelope import Envelope, Outcome
from eventstore.errors import LockTimeout, OutcomeUnknown, StoreBusy
from ops.conf import get_settings

MOST = 256
"""Commands in one batch: as many as keys can be guarded, see `eventstore.idempotency`."""
PATIENCE_MS = 100
"""How long a batch of several waits for one lock."""

Run = Callable[[Sequence[Envelope], int | None], list[Outcome]]
"""Executes envelopes as one batch, waiting for a lock at most so many milliseconds (None: LOCK_TIMEOUT_MS)."""


class _Turn:
    """One caller's place: it waits until it is settled, or is given a group to run."""

    __slots__ = ("_woken", "envelope", "error", "group", "in_line", "outcome")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.group: list[_Turn] = []
        self.in_line = False
        self._woken = threading.Lock()
        self._woken.acquire()

    @property
    def settled(self) -> bool:
        return self.outcome is not None or self.error is not None

    def wait(self, seconds: float) -> bool:
        return self._woken.acquire(timeout=seconds)

    def wake(self) -> None:
        self._woken.release()


class Coalescer:
    """The line of one process: at most one batch of it is under way at a time."""

    def __init__(self, run: Run) -> None:
        self._run_batch = run
        self._lock = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._busy = False

    def execute(self, envelope: Envelope) -> Outcome:
        """The outcome of this command, executed with whatever waits beside it.

        Raises:
            StoreBusy: also when its turn did not come within BATCH_PROCESSING_TIMEOUT; nothing happened.
            And what `executor.execute` raises.
        """
        turn = _Turn(envelope)
        with self._lock:
            if self._busy:
                self._waiting.append(turn)
            else:
                self._busy, turn.in_line, turn.group = True, True, [turn]
        while not turn.settled:
            if turn.group:
                self._run(turn)
            else:
                self._await(turn)
        if turn.outcome is None:
            assert turn.error is not None
            raise turn.error
        return turn.outcome

    def _await(self, turn: _Turn) -> None:
        longest = get_settings().batch_processing_timeout
        if turn.wait(longest):
            return
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                turn.error = StoreBusy("its turn to be executed did not come in time")
                return
        if not turn.wait(longest):  # the batch that it is in has the same time limit
            turn.error = OutcomeUnknown("the batch that the command went into gave no answer in time")

    def _run(self, leader: _Turn) -> None:
        group, leader.group = leader.group, []
        in_line, leader.in_line = leader.in_line, False
        if in_line:
            with self._lock:
                while self._waiting and len(group) < MOST:
                    group.append(self._waiting.popleft())
        alone = not in_line and len(group) == 1
        try:
            outcomes = self._run_batch([turn.envelope for turn in group], None if alone else PATIENCE_MS)
        except Exception as error:
            if alone or not _may_be_of_one(error):
                _settle(group, leader, error)
            else:
                _halve(group, leader)
        except BaseException:
            _settle(group, leader, OutcomeUnknown("the process is being stopped"))
            raise
        else:
            for turn, outcome in zip(group, outcomes, strict=True):
                turn.outcome = outcome
                if turn is not leader:
                    turn.wake()
        finally:
            if in_line:
                self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._busy = False
                return
            successor = self._waiting.popleft()
            successor.in_line, successor.group = True, [successor]
        successor.wake()


def _may_be_of_one(error: Exception) -> bool:
    """Whether the others of a batch may fare better without one of them."""
    return isinstance(error, LockTimeout) or not isinstance(error, (StoreBusy, OutcomeUnknown))


def _settle(group: list[_Turn], leader: _Turn, error: Exception) -> None:
    """An exception is one thread's: each caller gets its own."""
    for turn in group:
        if turn is leader:
            turn.error = error
        else:
            turn.error = type(error)(*error.args)
            turn.error.__cause__ = error
            turn.wake()


def _halve(group: list[_Turn], leader: _Turn) -> None:
    middle = (len(group) + 1) // 2
    for half in (group[:middle], group[middle:]):
        if half:
            half[0].group = half
            if half[0] is not leader:
                half[0].wake()
