"""Where a process counts, so that all counters of a machine are in PROMETHEUS_MULTIPROC_DIR for whoever is scraped.

prometheus_client names a process's files by its id. That is the same number in many containers, which would write
into one file; and each restart would leave files behind that cannot be removed, for a sum that falls looks to
Prometheus like a start from nothing, and all that is left of it like an increase. So a process takes the lowest place
that nobody holds, and goes on with the counts that it finds there: sums never fall, and there are no more files than
processes. The lock on a place is held for as long as its process lives, as that of a board.

To be imported before the first metric is made, which `bankes.settings` does.
"""

import fcntl
import os
import re
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

PLACES = 4096
SIZES = {"counter": 256 * 1024, "histogram": 1024 * 1024}
"""Bytes that a place's files begin with, allocated: to write where the disk is full would kill the process."""
_FILE = re.compile(r"[a-z_]+_place(\d+)\.db")


class _Place:
    """This process's; taken at its first count, and anew by a forked child."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: tuple[str, int] | None = None
        os.register_at_fork(after_in_child=self._leave)

    def __call__(self) -> str:
        if self._taken is None:
            self._taken = take(self._folder)
        return self._taken[0]

    def _leave(self) -> None:
        if self._taken is not None:
            os.close(self._taken[1])  # the lock stays with the parent
            self._taken = None


def take(folder: Path) -> tuple[str, int]:
    """The name of the lowest free place, and the descriptor that holds it.

    Raises:
        OSError: nothing can be written in `folder`, or all places are taken.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(PLACES):
        descriptor = os.open(_lock(folder, number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _prepare(folder, number)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                continue
            raise
        return f"place{number}", descriptor
    raise OSError(f"{PLACES} processes count in {folder}")


def forget_the_dead(folder: Path) -> None:
    """Live gauges of processes that ended without a word would count for ever."""
    for path in folder.glob("gauge_live*.db"):
        match = _FILE.fullmatch(path.name)
        if match is None or not _is_held(folder, int(match[1])):
            path.unlink(missing_ok=True)


def _lock(folder: Path, number: int) -> Path:
    return folder / f"place{number}.lock"


def _is_held(folder: Path, number: int) -> bool:
    try:
        descriptor = os.open(_lock(folder, number), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _prepare(folder: Path, number: int) -> None:
    """A gauge is its process's alone. What a power cut has left unreadable, anywhere, would fail each scrape."""
    for path in folder.glob(f"gauge_*_place{number}.db"):
        path.unlink(missing_ok=True)
    for path in folder.glob("*.db"):
        if not _is_sound(path):
            path.unlink(missing_ok=True)
    for kind, size in SIZES.items():
        path = folder / f"{kind}_place{number}.db"
        if not path.exists():
            _allocate(path, size)


def _is_sound(path: Path) -> bool:
    try:
        for _ in MmapedDict.read_all_values_from_file(str(path)):
            pass
    except FileNotFoundError:
        return True
    except Exception:  # whatever the library makes of it
        return path.stat().st_size == 0  # just begun by another process
    return True


def _allocate(path: Path, size: int) -> None:
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _share() -> None:
    """Where nothing can be written the process counts for itself, and nobody sees it: payments do not stop for it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # the library's own switch, no setting of ours
    if folder is None:
        return
    try:
        values.ValueClass = values.MultiProcessValue(_Place(Path(folder)))
    except OSError:
        values.ValueClass = values.MutexValue


_share()
