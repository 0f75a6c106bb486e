"""As whom PostgreSQL runs. It refuses to run as root, so root starts it as somebody else."""

import os
import subprocess
from pathlib import Path

from ops.embedded.child import NOBODY_ID
from ops.embedded.errors import Refusal
from ops.embedded.layout import VAR
from ops.embedded.processes import Account, wrapped


def choose_account() -> Account:
    """Ourselves for an ordinary user. For root a user namespace, in which the data stays root's own and can
    lie anywhere; where the kernel or a container forbids those, the user nobody."""
    if os.geteuid() != 0:
        return Account.SELF
    return Account.NAMESPACE if _succeeds("true", [], Account.NAMESPACE) else Account.NOBODY


def give(path: Path, account: Account) -> None:
    """Make `path` and all in it belong to whom the account's files belong."""
    if os.geteuid() != 0:
        return
    owner = NOBODY_ID if account is Account.NOBODY else 0
    if path.stat().st_uid == owner:
        return
    os.chown(path, owner, owner)
    for parent, directories, files in os.walk(path):
        for name in (*directories, *files):
            os.lchown(os.path.join(parent, name), owner, owner)


def open_way(directory: Path, account: Account) -> None:
    """Let nobody pass through our own directories on the way to `directory`, without seeing what is in them."""
    if account is Account.NOBODY:
        directory.parent.chmod(0o711)
        if VAR in directory.parents:
            VAR.chmod(0o711)


def check_reach(directory: Path, program: Path, account: Account) -> None:
    """Raises Refusal when the account cannot get at its own data, or at the program."""
    if account is Account.SELF:
        return
    if not _succeeds('test -w "$0"', [directory], account):
        obstacle = directory.parent
    elif not _succeeds('test -x "$0"', [program], account):
        obstacle = program
    else:
        return
    raise Refusal(
        f"PostgreSQL does not run as root, and another user cannot get to {obstacle}: run make as the ordinary "
        "user who owns this checkout, or move it to a place that everybody may enter, such as /srv."
    )


def _succeeds(question: str, arguments: list[Path], account: Account) -> bool:
    command = wrapped(["/bin/sh", "-c", question, *arguments], account)
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0
