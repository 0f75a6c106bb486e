"""The store's SQL, one table, function, trigger or set of privileges a file."""

from pathlib import Path


def read_sql(name: str) -> str:
    """The text of a file here, named without its ending: `read_sql("functions/append_events")`."""
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
