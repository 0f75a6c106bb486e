"""What the application's role may do is what is written down here, and no function lends it more."""

from django.db import connection

APPEND_ONLY = {
    "django_migrations": {"SELECT"},
    "events": {"SELECT"},
    "streams": {"SELECT"},
    "read_model_tables": {"SELECT"},
    "idempotency_records": {"SELECT", "INSERT", "DELETE"},
    "import_refusals": {"SELECT", "INSERT", "DELETE"},
    "interest": {"SELECT", "INSERT", "UPDATE"},
    "interest_months": {"SELECT", "INSERT"},
    "interest_rates": {"SELECT", "INSERT"},
    "ledger_proofs": {"SELECT", "INSERT"},
    "ops_approval": {"SELECT", "INSERT", "UPDATE"},
    "ops_auditentry": {"SELECT", "INSERT"},
    "ops_resolution": {"SELECT", "INSERT"},
}
ALL_ELSE = {"SELECT", "INSERT", "UPDATE", "DELETE"}


def asked(query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_the_application_may_do_to_each_table_what_is_written_down(db: None) -> None:
    rows = asked(
        "SELECT c.relname, array_agg(a.privilege_type) FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
        " AND a.grantee = current_user::regrole GROUP BY c.relname"
    )
    found = {table: set(privileges) for table, privileges in rows}  # type: ignore[call-overload]
    assert {table: found.pop(table) for table in APPEND_ONLY} == APPEND_ONLY
    assert {table: may for table, may in found.items() if may != ALL_ELSE} == {}


def test_it_makes_nothing_and_draws_no_position(db: None) -> None:
    assert asked("SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')") == []
    assert asked("SELECT has_sequence_privilege('events_position_seq', 'USAGE, SELECT, UPDATE')") == [(False,)]


def test_what_stands_for_everybody_is_nothing(db: None) -> None:
    assert (
        asked(
            "SELECT p.oid::regprocedure FROM pg_proc p,"
            " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
            " WHERE p.pronamespace = 'public'::regnamespace AND a.grantee = 0"
        )
        == []
    )
    assert (
        asked(
            "SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a"
            " WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = 0"
        )
        == []
    )


def test_what_runs_with_the_owner_s_rights_looks_for_names_in_one_place(db: None) -> None:
    """Else a caller could have it use tables of its own, under the same names."""
    lending = asked(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    assert [name for name, _ in lending] == [
        "append_events", "create_shadow", "drop_shadow", "feed_mark", "held_streams", "hold_feed", "lock_streams",
        "swap_table",
    ]  # fmt: skip
    assert [name for name, config in lending if "search_path=public, pg_temp" not in (config or ())] == []  # type: ignore[operator]


def test_the_books_are_guarded_against_each_way_to_change_them(db: None) -> None:
    """Bits of pg_trigger.tgtype: 1 each row, 2 before, 8 delete, 16 update, 32 truncate."""
    guards = asked(
        "SELECT tgrelid::regclass::text, tgtype, tgenabled FROM pg_trigger"
        " WHERE tgfoid = 'refuse_change'::regproc ORDER BY 1"
    )
    assert guards == [("events", 2 + 8 + 16 + 32, "O"), ("streams", 2 + 8 + 32, "O")]
