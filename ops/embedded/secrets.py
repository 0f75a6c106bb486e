"""Generated passwords and keys. They are made once, kept in one file that only its owner reads, and never
appear on a command line or in a log."""

import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.embedded.layout import read_json, write_json

BYTES = 48


@dataclass(frozen=True, repr=False)
class Secrets:
    """One password for each database role, for Redis and for Kafka, and Django's signing key."""

    postgres: str
    banking_es_owner: str
    banking_es_app: str
    redis: str
    kafka: str
    secret_key: str


def generate() -> Secrets:
    return Secrets(*(secrets.token_urlsafe(BYTES) for _ in Secrets.__dataclass_fields__))


def load_or_generate(path: Path) -> Secrets:
    """The secrets in `path`; those that are missing there are generated and written down first."""
    known = {name: value for name, value in read_json(path).items() if name in Secrets.__dataclass_fields__}
    all_of_them = Secrets(**(asdict(generate()) | known))
    if asdict(all_of_them) != known:
        write_json(path, asdict(all_of_them))
    return all_of_them
