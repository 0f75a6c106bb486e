"""What this process is, in a word: on the board, in PostgreSQL's list of sessions, in log lines."""

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
CELERY_ROLES = ("worker", "beat")


def command() -> str:
    """The program, and of manage.py its command: "run_relay", "server.py", "celery"."""
    name = Path(sys.argv[0]).name
    words = [Path(sys.argv[0]).parent.name if name == "__main__.py" else name, *sys.argv[1:]]
    return " ".join(words[1:2] if words[0] == "manage.py" else words[:1])[:100]


def role() -> str:
    """ "web", "relay", "worker", or the command's name: what the services are called."""
    name = command()
    if name == "celery":
        return next((word for word in sys.argv[1:] if word in CELERY_ROLES), name)
    return ROLES.get(name, name)


def is_service() -> bool:
    """Whether this is one of the loops that keep a database connection for as long as they run."""
    return role() in SERVICES


def application_name() -> str:
    """For PostgreSQL: "bankes:web". It keeps 63 bytes."""
    return f"bankes:{role()}".encode("ascii", "replace").decode()[:63]
