"""What this process is, in a word: on the board, in PostgreSQL's list of sessions, in log lines; and how a long-lived
one keeps its memory."""

import gc
import sys
from pathlib import Path

ROLES = {
    "server.py": "web",
    "runserver": "web",
    "run_relay": "relay",
    "run_projections": "projector",
    "run_monitor": "monitor",
    "consume_events": "consumer",
    "deliver_webhooks": "webhooks",
    "warm_cache": "cache",
}
"""By command. Any other command is called by its own name."""
SERVICES = frozenset(ROLES.values()) - {"web"}
CELERY_ROLES = ("jobs", "worker", "beat")
"""The first that the command line has: a worker of the queue "jobs" is none of the others."""
GARBAGE = 50_000
"""Objects made and not freed, after which the youngest are looked through for cycles."""


def command() -> str:
    """The program, and of manage.py its command: "run_relay", "server.py", "celery"."""
    name = Path(sys.argv[0]).name
    words = [Path(sys.argv[0]).parent.name if name == "__main__.py" else name, *sys.argv[1:]]
    return " ".join(words[1:2] if words[0] == "manage.py" else words[:1])[:100]


def role() -> str:
    """ "web", "relay", "worker", or the command's name: what the services are called."""
    name = command()
    if name == "celery":
        return next((role for role in CELERY_ROLES if role in sys.argv[1:]), name)
    return ROLES.get(name, name)


def is_service() -> bool:
    """Whether this is one of the loops that keep a database connection for as long as they run."""
    return role() in SERVICES


def application_name() -> str:
    """For PostgreSQL: "bankes:web". It keeps 63 bytes."""
    return f"bankes:{role()}".encode("ascii", "replace").decode()[:63]


def collect_rarely() -> None:
    """For a process that has loaded all that it needs and now works: what was loaded stays, so the garbage collector
    need not look at it again; and requests, messages and events leave few cycles, so it need not look after every few
    hundred objects. That took a seventh of a web worker's time under load, and half of a consumer's."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)
