"""What each process of the bank tells the others while it happens.

Every process has a file of its own in BOARD_DIR, mapped into memory: its operations in hand (`slots`), what it knows
of itself (`facts`), and counts per second of the last ten minutes (`series`). Writing takes microseconds and no
system call; readers look into the files of all processes, also when PostgreSQL, Redis and Kafka are down. A writer
holds a lock on its file for as long as it lives, so that nobody takes the operations of the dead for running ones.

The files are shared by the processes of one machine (or of one volume), not between machines.
"""

from ops.board.reading import Seen, boards, in_hand, one_look, own_slots, total, totals, totals_by_second
from ops.board.writing import Slot, count, own_in_hand, publish, take_slot, unseen

__all__ = [
    "Seen",
    "Slot",
    "boards",
    "count",
    "in_hand",
    "one_look",
    "own_in_hand",
    "own_slots",
    "publish",
    "take_slot",
    "total",
    "totals",
    "totals_by_second",
    "unseen",
]
