"""Mending what was made of streams: replaying them into the read models, recovering them from their snapshots; one,
those selected in a list, or all. Done by jobs."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from eventstore.errors import EventStoreError
from eventstore.jobs import EVERYTHING
from eventstore.models import Stream
from eventstore.projections.replay import replay
from eventstore.recovery import Recovery, recover
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.procedure import ByJob, Plan
from ops.admin.selection import SelectionTool

LOOKED_AT = 20
"""Streams of which a preview tells what would be done."""


class RepairForm(ReasonForm):
    field_order: tuple[str, ...] = ("dry_run", "reason")
    dry_run = forms.BooleanField(
        label="Only look",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="The job tells what is wrong, and mends nothing.",
    )


class ReplayForm(RepairForm):
    field_order = ("from_version", "dry_run", "reason")
    from_version = forms.IntegerField(
        label="From version",
        initial=1,
        min_value=1,
        max_value=2**63 - 1,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="The first event to replay; 1 is the beginning.",
        error_messages={"min_value": "Versions begin with 1.", "invalid": "Write a version, such as 1."},
    )


class _OfStreams(ByJob):
    """`chosen` are ids of streams, or EVERYTHING. Of many, a few are looked at for the preview; that a job only looks
    can be chosen on the form."""

    def __init__(self, chosen: Sequence[str] | str) -> None:
        self.chosen = chosen if chosen == EVERYTHING else list(chosen)

    @property
    def subject(self) -> str:
        if self.chosen == EVERYTHING:
            return "stream:all"
        return f"stream:{self.chosen[0]}" if len(self.chosen) == 1 else f"streams:{len(self.chosen)}"

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"streams": chosen, **data}

    def plan(self, data: dict[str, Any]) -> Plan:
        if self.chosen == EVERYTHING:
            total, few = Stream.objects.count(), list(Stream.objects.order_by("pk")[:LOOKED_AT])
        else:
            found = Stream.objects.in_bulk([UUID(item) for item in self.chosen])
            if missing := [item for item in self.chosen if UUID(item) not in found]:
                raise NotDone(f"There is no stream {missing[0]}.")
            few = list(found.values())
            total, few = len(few), few[:LOOKED_AT]
        lines = [line for stream in few for line in self._look(stream, data)]
        if total > len(few):
            lines.insert(0, f"{total} streams, of which the first {len(few)} were looked at:")
        return Plan(lines, self.chosen)

    def _look(self, stream: Stream, data: dict[str, Any]) -> list[str]:
        """What would be done with one stream, in lines."""
        try:
            lines = self.look(stream, data)
        except EventStoreError as error:
            raise NotDone(f"Nothing was changed: {error}.") from error
        return lines if len(self.chosen) == 1 else [f"{stream.pk}: {line}" for line in lines]

    @abstractmethod
    def look(self, stream: Stream, data: dict[str, Any]) -> list[str]: ...


class ReplayStreams(_OfStreams):
    action = job = "replay_stream"
    permission = "eventstore.replay_stream"
    button = "Replay into the read models"
    about = (
        "Makes anew what the read models hold of a stream, from a version on. Nothing is written to the books, "
        "relayed or sent again."
    )
    form = ReplayForm
    command = "manage.py replay_events"

    def look(self, stream: Stream, data: dict[str, Any]) -> list[str]:
        version = data["from_version"]
        if version > stream.version:
            raise NotDone(f"There is no version {version}: this stream ends with {stream.version}.")
        done = replay(stream.pk, from_version=version, dry_run=True, progress=_quietly)
        return [f"{r.read_model}: {r.events} events replayed, {r.repaired} rows are wrong" for r in done]


class RecoverStreams(_OfStreams):
    action = job = "recover_stream"
    permission = "eventstore.recover_stream"
    button = "Recover from the snapshot"
    about = (
        "Loads a stream from its newest snapshot and the events after it, proves the result against the fold from "
        "version 1, removes snapshots that are wrong, and mends the stream's rows in the inline read models."
    )
    form = RepairForm
    command = "manage.py recover_from_snapshot"

    def look(self, stream: Stream, data: dict[str, Any]) -> list[str]:
        return _recovered(recover(stream.pk, dry_run=True, progress=_quietly))


REPAIRS: dict[str, type[ReplayStreams | RecoverStreams]] = {"replay": ReplayStreams, "recover": RecoverStreams}


def repairs_of(request: HttpRequest, aggregate_id: object) -> list[dict[str, str]]:
    """Label and URL of the dialogs that this user may begin for a stream."""
    return [
        {"label": procedure.button, "url": reverse(f"admin:eventstore_stream_{name}", args=[aggregate_id])}
        for name, procedure in REPAIRS.items()
        if request.user.has_perm(procedure.permission)
    ]


def selection_of(request: HttpRequest) -> list[SelectionTool]:
    """The same for streams that are selected in a list, be it one of streams or of what they are about."""
    return [
        SelectionTool(
            procedure.button, reverse(f"admin:eventstore_stream_{name}_several"), f"{name.capitalize()} all streams"
        )
        for name, procedure in REPAIRS.items()
        if request.user.has_perm(procedure.permission)
    ]


def _quietly(done: int, total: int) -> None:
    """Nobody watches a page's progress."""


def _recovered(result: Recovery) -> list[str]:
    origin = (
        f"Loaded from the snapshot at version {result.snapshot_version} and {result.events_read} events after it"
        if result.snapshot_version
        else f"There is no usable snapshot: loaded from the {result.events_read} events since version 1"
    )
    lines = [f"{origin}: version {result.version}."]
    if result.bad_snapshots:
        lines.append(f"{result.bad_snapshots} snapshots do not agree with the events: they would be removed.")
    return [*lines, f"{result.repaired} rows are wrong."]
