"""Staff see imports and what was refused, stop one and let it go on; each time with a reason that is kept."""

import pytest
from django.test import Client

from accounts.models import Import, ImportRefusal
from ops.models import AuditEntry
from tests.staff import make_staff, signed_in

LIST = "/admin/accounts/import/"
REASON = {"reason": "it is the wrong file"}


@pytest.fixture
def row(db: None) -> Import:
    row = Import.objects.create(
        scope="client:acme", key="night-run", position=7, digest=bytes(32), executed=5, refused=1
    )
    ImportRefusal.objects.create(of=row, line=3, code="insufficient_funds", message="<b>Not</b> enough.")
    return row


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def test_the_list_can_be_narrowed_to_a_client(operator: Client, row: Import) -> None:
    assert "night-run" in operator.get(f"{LIST}?scope=acme").content.decode()
    assert "Nothing fits" in operator.get(f"{LIST}?scope=system:bank").content.decode()


def test_its_page_shows_how_far_it_is_and_what_was_refused(operator: Client, row: Import) -> None:
    page = operator.get(f"{LIST}{row.pk}/change/").content.decode()

    assert "line 3: insufficient_funds. &lt;b&gt;Not&lt;/b&gt; enough." in page
    assert f"{LIST}{row.pk}/stop/" in page
    assert f"{LIST}{row.pk}/allow/" not in page


def test_stopping_and_letting_go_on_take_a_reason_and_are_recorded(operator: Client, row: Import) -> None:
    for action, by in (("stop", "staff:operator"), ("allow", "")):
        path = f"{LIST}{row.pk}/{action}/"
        assert operator.get(path).status_code == 200
        operator.post(path, {})
        row.refresh_from_db()
        assert row.stopped_by != by, "without a reason nothing is done"
        assert operator.post(path, REASON).status_code == 302
        row.refresh_from_db()
        assert row.stopped_by == by
        entry = AuditEntry.objects.get(action=f"{action}_import")
        assert (entry.reason, entry.outcome) == (REASON["reason"], "done")


def test_what_is_finished_is_not_stopped(operator: Client, row: Import) -> None:
    Import.objects.update(finished_at=row.updated_at)

    operator.post(f"{LIST}{row.pk}/stop/", REASON)

    row.refresh_from_db()
    assert row.stopped_by == ""
    assert AuditEntry.objects.get(action="stop_import").outcome == "refused"


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_other_roles_stop_nothing(row: Import, role: str) -> None:
    assert signed_in(make_staff(role)).post(f"{LIST}{row.pk}/stop/", REASON).status_code == 403

    row.refresh_from_db()
    assert row.stopped_by == ""
