"""Start one program that ends when the launcher ends; run as a script, in place of the program itself.

    python -I -S child.py PARENT SIGNAL ACCOUNT /PATH/OF/PROGRAM ARGUMENT...

PARENT is the launcher's process id; SIGNAL the number that the kernel sends to the program should the launcher
die without a word (prctl(2), PR_SET_PDEATHSIG); ACCOUNT one of
    self        as the launcher itself
    namespace   as user 1000 of a user namespace in which it is the launcher's own user under another number: a
                program that refuses to run as root does run, and files stay owned by root (user_namespaces(7))
    nobody      as the user nobody
Both need to happen after the fork and before the program, in a process with a single thread. Once the account
has changed nothing more can be imported: Python's own files may be out of reach.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NAMESPACE_ID = 1000
NOBODY_ID = 65534


def enter_namespace(libc: ctypes.CDLL) -> None:
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not permitted")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{NAMESPACE_ID} {user} 1"),
        ("gid_map", f"{NAMESPACE_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY_ID)
    os.setuid(NOBODY_ID)


def main() -> None:
    parent, orphan_signal, account, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if account == "namespace":
        enter_namespace(libc)
    elif account == "nobody":
        become_nobody()
    libc.prctl(PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("The launcher ended before its child began.")
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - this is what the script is for


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"{sys.argv[4]}: {error}")
