"""The account as of any moment or any version, with the difference to now."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.fields import LABELS, difference, label_of, shown
from accounts.admin.tabs import tab_url, tabs
from accounts.domain.account import BrokenStream
from accounts.domain.errors import Refusal
from accounts.explaining import Past, TooFar, past
from accounts.models import Account
from eventstore.admin.events import time_filter
from eventstore.errors import EventStoreError
from ops.admin.keyset import BIGINT_MAX
from ops.admin.lists import Column
from ops.html import when

FIELDS = [name for name in LABELS if name not in ("id", "opened_at", "updated_at")]
COLUMNS = (
    Column("Field", lambda row: label_of(row[0])),
    Column("Then", lambda row: shown(row[0], row[1], row[3]), numeric=True),
    Column("Now", lambda row: shown(row[0], row[2], row[3]), numeric=True),
    Column("Since then", lambda row: difference(*row), numeric=True),
)


class WhenForm(forms.Form):
    """One of the two; a moment is in UTC, by the time of recording."""

    at = time_filter("Moment (UTC)")
    version = forms.IntegerField(
        label="or version",
        required=False,
        min_value=1,
        max_value=BIGINT_MAX,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "placeholder": "1 is the opening"}),
        error_messages={"min_value": "Versions begin with 1.", "invalid": "Write a version, such as 12."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["at"].widget.attrs["step"] = "1"  # a browser offers minutes only, without

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("at") and data.get("version"):
            self.add_error("version", "Give the moment or the version, not both.")
        return data


def time_travel_context(request: HttpRequest, account: Account) -> dict[str, Any]:
    asked = {name: request.GET[name] for name in ("at", "version") if request.GET.get(name)}
    form = WhenForm(asked or None)
    context = {
        "title": f"{account.owner} · as of",
        "account": account,
        "tabs": tabs(request, account.pk, "as_of"),
        "form": form,
        "here": request.path,
    }
    if not asked or not form.is_valid():
        return context
    at = form.cleaned_data["at"]
    if at is not None:  # as the browser's field wants it, whatever form came in the address
        form.data = {"at": f"{at:%Y-%m-%dT%H:%M:%S}"}
    try:
        then = past(account.pk, at=at, version=form.cleaned_data["version"])
        now = past(account.pk, version=account.version)
    except Refusal as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
    except TooFar as error:
        form.add_error(None, str(error))
    except (EventStoreError, BrokenStream) as error:
        form.add_error(None, f"The events up to then cannot be folded: {error}. The proof shows where they break.")
    else:
        context |= compared(account.pk, then, now)
    return context


def compared(account_id: UUID, then: Past, now: Past) -> dict[str, Any]:
    """Field by field. Both sides are folded from the books."""
    version, head = then.state.version, now.state.version
    pairs = [(name, getattr(then.state, name), getattr(now.state, name), now.state.currency) for name in FIELDS]
    return {
        "headings": COLUMNS,
        "rows": [[(column, column.cell(pair)) for column in COLUMNS] for pair in pairs],
        "version": version,
        "recorded_at": when(then.recorded_at),
        "snapshot_version": then.snapshot_version,
        "events_read": then.events_read,
        "later": head - version,
        "previous": version - 1,
        "next": version + 1 if version < head else None,
        "fold_url": f"{tab_url('fold', account_id)}?version={version}",
    }
