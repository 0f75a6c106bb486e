"""Who looked at which list: noted with filters and rows, compact, unalterable, and for auditors to read."""

from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from ops.audit import viewings
from ops.models import Viewing
from tests.bank import Bank
from tests.staff import make_staff, signed_in


@pytest.fixture
def viewer(bank: Bank) -> Client:
    bank.open("1.00", owner="Ann")
    bank.open("1.00", owner="Bob")
    return signed_in(make_staff("viewer"))


def noted() -> list[tuple[str, str, str, int, int]]:
    rows = Viewing.objects.order_by("id")
    return [(row.actor, row.what, row.filters, row.pages, row.rows) for row in rows]


def test_a_list_is_noted_with_its_filters_and_how_many_rows_it_showed(viewer: Client) -> None:
    viewer.get("/admin/accounts/account/")
    viewer.get("/admin/accounts/account/?search=Ann&nonsense=1")

    assert noted() == [
        ("staff:viewer", "accounts.account", "", 1, 2),
        ("staff:viewer", "accounts.account", "search=Ann", 1, 1),
    ]


def test_pages_of_one_list_within_the_hour_are_one_entry(viewer: Client) -> None:
    for _ in range(5):
        viewer.get("/admin/accounts/account/")

    ((_, _, _, pages, rows),) = noted()
    assert (pages, rows) in ((5, 10), (4, 8)), "the hour may have turned once"


def test_a_list_that_is_refused_is_not_noted(viewer: Client) -> None:
    assert viewer.get("/admin/ops/auditentry/").status_code == 403

    assert noted() == []


def test_a_long_search_is_cut_and_an_odd_one_is_no_error(viewer: Client) -> None:
    viewer.get("/admin/accounts/account/", {"search": "é" * 180})

    (row,) = noted()
    assert len(row[2]) <= viewings.LONGEST_FILTERS


def test_nobody_alters_or_removes_what_was_noted(viewer: Client, sweeper: psycopg.Connection) -> None:
    viewer.get("/admin/accounts/account/")

    for change in (
        "UPDATE ops_viewing SET actor = 'staff:other'",
        "UPDATE ops_viewing SET pages = pages - 1, rows = 0",
        "DELETE FROM ops_viewing",
        "TRUNCATE ops_viewing",
    ):
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute(change)

    assert len(noted()) == 1


def test_old_entries_go_after_their_retention(viewer: Client, sweeper: psycopg.Connection) -> None:
    viewer.get("/admin/accounts/account/")
    viewer.get("/admin/accounts/account/?search=Ann")
    sweeper.execute("UPDATE ops_viewing SET last_at = %s WHERE filters = ''", [timezone.now() - timedelta(days=401)])
    assert viewings.expired(limit=10) == 1

    assert viewings.prune(limit=10) == 1

    assert [filters for _, _, filters, _, _ in noted()] == ["search=Ann"]


def test_the_auditor_reads_them(viewer: Client) -> None:
    viewer.get("/admin/accounts/account/?search=Ann")
    auditor = signed_in(make_staff("auditor"))

    page = auditor.get("/admin/ops/viewing/?actor=staff:viewer").content.decode()

    assert "accounts.account" in page
    assert "search: Ann" in page
    assert viewer.get("/admin/ops/viewing/").status_code == 403
