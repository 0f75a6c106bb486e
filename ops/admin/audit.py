"""What staff did, for auditors to read."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet

from ops.admin.keyset import BY_NUMBER, Keyset, moment, position
from ops.admin.lists import Column, Filters, KeysetAdmin, text_filter, time_filter
from ops.html import badge, link, page_of, pretty, short_id, when
from ops.models import AuditEntry

BY_TIME = Keyset(("at", "pk"), (moment, position))
KINDS_WITH_IDS = ("account", "transaction", "hold")
"""Subjects are written "account:<id>"."""


class AuditFilters(Filters):
    """Each of them alone has an index, as has an action in a window of time; together the narrower one is used."""

    actor = text_filter("Who", placeholder="staff:alice", max_length=200)
    action = text_filter("What", placeholder="deposit", max_length=60)
    subject = text_filter(
        "To what",
        placeholder="account:<id>",
        help_text="An id alone: that account, transaction or hold.",
        max_length=200,
    )
    since = time_filter("From (UTC)")
    until = time_filter("Before (UTC)")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        """The order is that of the index which finds the rows."""
        data = self.cleaned_data
        lookups = {
            "actor": data["actor"].strip(),
            "action": data["action"].strip(),
            "subject__in": subjects(data["subject"].strip()),
            "at__gte": data["since"],
            "at__lt": data["until"],
        }
        by_time = lookups["action"] or data["since"] or data["until"]
        found = queryset.filter(**{name: value for name, value in lookups.items() if value})
        return found, BY_TIME if by_time else keyset


def subjects(text: str) -> list[str]:
    """What entries may have as subject for what was asked for."""
    if not text:
        return []
    return [text] if ":" in text else [text, *(f"{kind}:{text}" for kind in KINDS_WITH_IDS)]


def outcome_badge(entry: AuditEntry) -> object:
    return badge(entry.get_outcome_display(), "good" if entry.outcome == AuditEntry.Outcome.DONE else "bad")


@admin.register(AuditEntry)
class AuditEntryAdmin(KeysetAdmin):
    list_title = "Audit"
    about = "What members of staff did in the admin or tried to do, newest first. Entries cannot be altered."
    when_empty = "Entries appear as soon as somebody signs in or does something."
    filters = AuditFilters
    keyset = BY_NUMBER
    deferred = ("detail",)
    columns = (
        Column("When (UTC)", lambda entry: link(page_of("ops.auditentry", entry.pk), when(entry.at))),
        Column("Who", lambda entry: entry.actor),
        Column("What", lambda entry: entry.action),
        Column("To what", lambda entry: subject_cell(entry.subject)),
        Column("Outcome", outcome_badge),
        Column("Why", lambda entry: entry.reason),
        Column("From", lambda entry: entry.address),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, AuditEntry)
        return [
            ("When (UTC)", when(obj.at)),
            ("Who", obj.actor),
            ("What", obj.action),
            ("To what", obj.subject),
            ("Outcome", outcome_badge(obj)),
            ("Why", obj.reason),
            ("From", obj.address),
            ("Request", obj.request_id),
            ("Detail", pretty(obj.detail)),
        ]


def subject_cell(subject: str) -> object:
    """ "account:<id>" with the id cut short; other subjects as they are."""
    kind, _, key = subject.partition(":")
    return short_id(key) if kind in KINDS_WITH_IDS and len(key) == 36 else subject
