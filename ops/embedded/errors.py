"""What the launcher says when it cannot go on: one sentence that names what to do, never a traceback."""

import errno


class Refusal(Exception):
    """The launcher cannot go on. The message is complete as it stands; `lines` are shown above it."""

    def __init__(self, sentence: str, lines: list[str] | None = None) -> None:
        super().__init__(sentence)
        self.lines = lines or []


class Stopped(Exception):
    """Somebody asked the launcher to stop (Ctrl-C, SIGTERM, SIGHUP) while it was still preparing."""


DISK_FULL = "No space left on device"


def disk_is_full(lines: list[str]) -> bool:
    """Whether a program's last words were about a full disk."""
    return any(DISK_FULL in line for line in lines)


def explain(error: OSError) -> str:
    """One sentence for a system error, with the remedy where there is one."""
    place = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{place}: free some space and run make again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"No permission to write{place}: run make as the owner of this checkout, or give the files back to "
            "yourself with chown."
        )
    if error.errno == errno.EMFILE:
        return "Too many open files: raise the limit with `ulimit -n 4096` and run make again."
    return f"The launcher stopped on a system error{place}: {error.strerror or error}."
