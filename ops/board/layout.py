"""Where things lie in a board: header, facts, names of series, slots, counts.

A record (the header, the facts, a slot) begins with a sequence number, odd while it is being written, and a length;
a reader that sees an odd or a changed number looks again.
"""

from pathlib import Path
from struct import Struct

from ops.conf import get_settings

SUFFIX = ".board"
MAGIC = b"bankes board 1\0\0"
RECORD = Struct("<II")
BUCKET = Struct("<QQ")
"""One second of one series: which second (Unix time), and its count."""
COUNTER = Struct("<I")

HEADER_AT, HEADER_SIZE = len(MAGIC), 512
IN_HAND_AT = HEADER_AT + HEADER_SIZE
LAST_COUNT, LAST_COUNT_AT = Struct("<Q"), IN_HAND_AT + 8
"""The last second in which anything was counted."""
FACTS_AT, FACTS_SIZE = IN_HAND_AT + 16, 32 * 1024
NAMES_AT, NAME_SIZE, SERIES = FACTS_AT + FACTS_SIZE, 64, 64
SLOTS_AT, SLOT_SIZE, SLOTS = NAMES_AT + NAME_SIZE * SERIES, 1024, 256
COUNTS_AT, SECONDS = SLOTS_AT + SLOT_SIZE * SLOTS, 600
SIZE = COUNTS_AT + BUCKET.size * SECONDS * SERIES


def directory() -> Path:
    return Path(get_settings().board_dir)


def slot_at(number: int) -> int:
    return SLOTS_AT + number * SLOT_SIZE


def bucket_at(series: int, second: int) -> int:
    return COUNTS_AT + (series * SECONDS + second % SECONDS) * BUCKET.size
