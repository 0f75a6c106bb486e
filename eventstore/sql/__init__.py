"""The store's SQL, one table, function, trigger or set of privileges a file."""

from pathlib import Path

from django.db import migrations


def read_sql(name: str) -> str:
    """The text of a file here, named without its ending: `read_sql("functions/append_events")`."""
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")


def replaced(name: str) -> migrations.RunSQL:
    """Brings a function of a bank that exists already to what its file says now."""
    text = read_sql(f"functions/{name}").replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
    return migrations.RunSQL(text, migrations.RunSQL.noop)
