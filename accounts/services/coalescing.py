"""Commands that arrive together are executed together: group commit.

While a batch is on its way through the database, the commands that arrive wait; when it is done, the first of them
leads all of them as the next batch. So nothing is held back when nothing is in hand, and batches grow with the load
by themselves: the idea is that of flat combining (Hendler and others, 2010). Under load callers who have just been
answered mostly come again at once: a batch that would be small waits for them, for a part of what the last one took.
A caller that waits in a thread leads in that thread; a batch that is led by one who does not wait (an event loop's)
runs in the line's own.

One command cannot hurt the others. A batch waits for locks only briefly. If one was not to be had, the commands that
touch what others hold are run one by one, each waiting as long as it may, in threads of their own: a blocked account
keeps nobody but its callers. The rest of that batch, and the halves of one that failed as a whole for another reason,
are run by callers of theirs beside the line, where nobody else waits for them, down to the single command, which sees
its own error. Where the failure would only repeat itself (no connection, too many operations) or what happened is not
known, every caller of the batch is told so.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import structlog
from django.db import close_old_connections

from accounts.services.apart import halves, may_be_of_one
from accounts.services.envelope import Envelope, Outcome
from eventstore.errors import LockTimeout, OutcomeUnknown, StoreBusy
from ops.conf import get_settings
from ops.database.kept import KeepingThread

MOST = 256
"""Commands in one batch: as many as keys can be guarded, see `eventstore.idempotency`."""
PATIENCE_MS = 100
"""How long a batch waits for one lock, unless it is a single command that was tried before."""

ENOUGH = 16
"""Commands in a batch that waits for no more of them: what a batch costs by itself is shared by enough."""
LINGER = 0.5
"""How long a smaller one waits for as many as were in hand a moment ago, as a part of what the last batch took: on a
machine that is slow or busy callers take longer to come back too."""
LONGEST_LINGER_MS = 4.0
"""However long the last batch took: one that waited for locks says nothing of the callers."""
MOMENT_MS = 5.0
"""How long ago that may have been."""

BESIDE = 4
"""Threads for parts of batches, of those who do not wait themselves; and as many for what waits for a lock."""
TOO_LATE = "its turn to be executed did not come in time"

_log = structlog.get_logger(__name__)

Run = Callable[[Sequence[Envelope], int | None], list[Outcome]]
"""Executes envelopes as one batch, waiting for a lock at most so many milliseconds (None: LOCK_TIMEOUT_MS)."""
Held = Callable[[Sequence[Envelope]], list[bool]]
"""Whether each needs what another transaction holds at this moment."""
Done = Callable[[Outcome | BaseException], None]
"""What became of a command."""


class _Turn:
    """One caller's place in line, with a command or several that stay together, and what becomes of them."""

    __slots__ = ("envelopes", "error", "group", "in_line", "is_patient", "outcomes")

    def __init__(self, envelopes: Sequence[Envelope]) -> None:
        self.envelopes = envelopes
        self.outcomes: list[Outcome] | None = None
        self.error: BaseException | None = None
        self.group: list[_Turn] = []
        self.in_line = False
        self.is_patient = False
        """It is run alone, and waits for locks as long as it may: a short wait was in vain."""

    @property
    def settled(self) -> bool:
        return self.outcomes is not None or self.error is not None

    def lead(self) -> None:
        """It was given a group to run."""
        raise NotImplementedError

    def tell(self) -> None:
        """It is settled."""
        raise NotImplementedError

    def is_late(self, now: float) -> bool:
        raise NotImplementedError


class _Caller(_Turn):
    """Waits in a thread, which runs what it is given."""

    __slots__ = ("_thread", "_woken")

    def __init__(self, envelopes: Sequence[Envelope]) -> None:
        super().__init__(envelopes)
        self._thread = threading.get_ident()
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self, seconds: float) -> bool:
        return self._woken.acquire(timeout=seconds)

    def lead(self) -> None:
        if threading.get_ident() != self._thread:
            self._woken.release()

    tell = lead

    def is_late(self, now: float) -> bool:
        return False  # it leaves the line by itself


class _Promise(_Turn):
    """Waits in no thread: whoever sent it is called when it is settled."""

    __slots__ = ("_done", "_run", "_until")

    def __init__(self, envelope: Envelope, done: Done, run: "Callable[[_Promise], None]", until: float) -> None:
        super().__init__([envelope])
        self._done = done
        self._run = run
        self._until = until

    def lead(self) -> None:
        self._run(self)

    def tell(self) -> None:
        if self.outcomes is not None:
            self._done(self.outcomes[0])
        else:
            assert self.error is not None
            self._done(self.error)

    def is_late(self, now: float) -> bool:
        return now > self._until


class Coalescer:
    """The line of one process: at most one batch of it is under way at a time."""

    def __init__(self, run: Run, held: Held = lambda envelopes: [False] * len(envelopes)) -> None:
        self._run_batch = run
        self._held = held
        self._lock = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._busy = False
        self._usual = 0
        """How many were in hand when the last batch ended, its own among them."""
        self._ended = float("-inf")
        self._took = 0.0
        """Seconds of the last batch."""
        self._wanted = MOST
        """So many in line are enough for whoever lingers."""
        self._enough = threading.Event()
        self._first = KeepingThread("line")
        self._beside = ThreadPoolExecutor(BESIDE, thread_name_prefix="beside-line")
        self._patient = ThreadPoolExecutor(BESIDE, thread_name_prefix="patient")

    def execute(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """The outcomes of these commands, at most `MOST`, executed in order and with whatever waits beside them.

        Raises:
            StoreBusy: also when its turn did not come within BATCH_PROCESSING_TIMEOUT; nothing happened.
            And what `executor.execute` raises.
        """
        turn = _Caller(envelopes)
        self._join(turn)
        while not turn.settled:
            if turn.group:
                self._run(turn)
            else:
                self._await(turn)
        if turn.outcomes is None:
            assert turn.error is not None
            raise turn.error
        return turn.outcomes

    def begin(self, envelope: Envelope, done: Done) -> None:
        """As `execute`, but waits for nothing: `done` gets the outcome, or what would have been raised, once, from a
        thread of the line."""
        until = time.monotonic() + get_settings().batch_processing_timeout
        turn = _Promise(envelope, done, self._start, until)
        if self._join(turn):
            turn.lead()

    def _join(self, turn: _Turn) -> bool:
        """Whether it leads the next batch at once."""
        with self._lock:
            if self._busy:
                self._waiting.append(turn)
                if len(self._waiting) >= self._wanted:
                    self._enough.set()
                return False
            self._busy, turn.in_line, turn.group = True, True, [turn]
            return True

    def _start(self, turn: _Promise) -> None:
        """The batches of the line in one thread, those beside it in some others."""
        if turn.in_line:
            self._first.submit(self._run, turn)
        else:
            threads = self._patient if turn.is_patient else self._beside
            threads.submit(self._run_and_let_go, turn)

    def _run_and_let_go(self, turn: _Promise) -> None:
        try:
            self._run(turn)
        finally:
            close_old_connections()  # to the pool, as after each of Django's requests

    def _await(self, turn: _Caller) -> None:
        longest = get_settings().batch_processing_timeout
        if turn.wait(longest):
            return
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                turn.error = StoreBusy(TOO_LATE)
                return
        if not turn.wait(longest):  # the batch that it is in has the same time limit
            turn.error = OutcomeUnknown("the batch that the command went into gave no answer in time")

    def _run(self, leader: _Turn) -> None:
        group, leader.group = leader.group, []
        in_line, leader.in_line = leader.in_line, False
        if in_line:
            self._linger()
            group = self._gathered(group)
        group = _in_time(group)
        began = time.monotonic()
        try:
            if group:
                self._run_group(group)
        finally:
            if in_line:
                self._pass_on(len(group), began)

    def _linger(self) -> None:
        """Waits for those who are about to come, if any are."""
        with self._lock:
            if time.monotonic() - self._ended > MOMENT_MS / 1000:
                return
            self._wanted = min(self._usual, ENOUGH) - 1
            if len(self._waiting) >= self._wanted:
                return
            self._enough.clear()
        self._enough.wait(min(LINGER * self._took, LONGEST_LINGER_MS / 1000))

    def _gathered(self, group: list[_Turn]) -> list[_Turn]:
        with self._lock:
            commands = sum(len(turn.envelopes) for turn in group)
            while self._waiting and (commands := commands + len(self._waiting[0].envelopes)) <= MOST:
                group.append(self._waiting.popleft())
        return group

    def _run_group(self, group: list[_Turn]) -> None:
        is_patient = group[0].is_patient
        try:
            together = [envelope for turn in group for envelope in turn.envelopes]
            outcomes = self._run_batch(together, None if is_patient else PATIENCE_MS)
        except Exception as error:
            if isinstance(error, LockTimeout) and not is_patient:
                self._part(group)
            elif len(group) > 1 and may_be_of_one(error):
                _halve(group)
            else:
                _settle(group, error)
        except BaseException:
            _settle(group, OutcomeUnknown("the process is being stopped"))
            raise
        else:
            if len(outcomes) == len(together):
                _share(group, outcomes)
            else:  # a bug of ours, which is not to look like a lost connection
                _log.error("outcomes_do_not_fit", commands=len(together), outcomes=len(outcomes))
                _settle(group, OutcomeUnknown(f"{len(together)} commands came to {len(outcomes)} outcomes"))

    def _part(self, group: list[_Turn]) -> None:
        """After a short wait for locks that was in vain: who is to blame for it waits alone, the others go on."""
        blamed = group if len(group) == 1 else self._blocked(group)
        for turn in blamed:
            turn.is_patient, turn.group = True, [turn]
            turn.lead()
        rest = [turn for turn in group if turn not in blamed]
        if blamed and rest:
            rest[0].group = rest
            rest[0].lead()
        elif rest:
            _halve(rest)

    def _blocked(self, group: list[_Turn]) -> list[_Turn]:
        """Those who need what others hold; none where that is not known."""
        try:
            held = iter(self._held([envelope for turn in group for envelope in turn.envelopes]))
        except Exception:
            _log.exception("holders_not_known")
            return []
        return [turn for turn in group if True in list(islice(held, len(turn.envelopes)))]

    def _pass_on(self, done: int, began: float) -> None:
        with self._lock:
            self._usual, self._ended = done + len(self._waiting), time.monotonic()
            self._took = self._ended - began
            if not self._waiting:
                self._busy = False
                return
            successor = self._waiting.popleft()
            successor.in_line, successor.group = True, [successor]
        successor.lead()


def _in_time(group: list[_Turn]) -> list[_Turn]:
    """Without those whose turn comes too late, who are told so."""
    now = time.monotonic()
    late = [turn for turn in group if turn.is_late(now)]
    if not late:
        return group
    _settle(late, StoreBusy(TOO_LATE))
    return [turn for turn in group if turn not in late]


def _share(group: Sequence[_Turn], outcomes: Sequence[Outcome]) -> None:
    each = iter(outcomes)
    for turn in group:
        turn.outcomes = list(islice(each, len(turn.envelopes)))
        _tell(turn)


def _settle(group: Sequence[_Turn], error: Exception) -> None:
    """An exception is one caller's: of several, each gets its own."""
    for turn in group:
        turn.error = error if len(group) == 1 else _another(error)
        _tell(turn)


def _another(error: Exception) -> Exception:
    another = type(error)(*error.args)
    another.__cause__ = error
    return another


def _tell(turn: _Turn) -> None:
    """One who cannot be told does not keep it from the others."""
    try:
        turn.tell()
    except Exception:
        _log.exception("caller_not_told")


def _halve(group: list[_Turn]) -> None:
    for half in halves(group):
        if half:
            half[0].group = list(half)
            half[0].lead()
