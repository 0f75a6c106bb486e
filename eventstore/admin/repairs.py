"""Mending what was made of one stream: replaying it into the read models, recovering it from its snapshot."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from eventstore.errors import EventStoreError
from eventstore.models import Stream
from eventstore.projections.replay import Replayed, replay
from eventstore.recovery import Recovery, recover
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.procedure import Plan, Procedure


class ReplayForm(ReasonForm):
    field_order = ("from_version", "reason")
    from_version = forms.IntegerField(
        label="From version",
        initial=1,
        min_value=1,
        max_value=2**63 - 1,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="The first event to replay; 1 is the beginning.",
        error_messages={"min_value": "Versions begin with 1.", "invalid": "Write a version, such as 1."},
    )


class _OfStream(Procedure):
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @property
    def subject(self) -> str:
        return f"stream:{self.stream.pk}"


class ReplayStream(_OfStream):
    action = "replay_stream"
    permission = "eventstore.replay_stream"
    button = "Replay into the read models"
    about = (
        "Makes anew what the read models hold of this stream, from a version on. Nothing is written to the books, "
        "relayed or sent again."
    )
    form = ReplayForm
    command = "manage.py replay_events"

    def plan(self, data: dict[str, Any]) -> Plan:
        return Plan([_replayed(result, "are wrong") for result in self._do(data, dry_run=True)])

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        return [_replayed(result, "were wrong") for result in self._do(data, dry_run=False)]

    def _do(self, data: dict[str, Any], *, dry_run: bool) -> list[Replayed]:
        version = data["from_version"]
        if version > self.stream.version:
            raise NotDone(f"There is no version {version}: this stream ends with {self.stream.version}.")
        try:
            return replay(self.stream.pk, from_version=version, dry_run=dry_run, progress=_quietly)
        except EventStoreError as error:
            raise NotDone(f"Nothing was changed: {error}.") from error


class RecoverStream(_OfStream):
    action = "recover_stream"
    permission = "eventstore.recover_stream"
    button = "Recover from the snapshot"
    about = (
        "Loads the stream from its newest snapshot and the events after it, proves the result against the fold from "
        "version 1, removes snapshots that are wrong, and mends the stream's rows in the inline read models."
    )
    command = "manage.py recover_from_snapshot"

    def plan(self, data: dict[str, Any]) -> Plan:
        return Plan(_recovered(self._do(dry_run=True), "would be removed", "are wrong"))

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        return _recovered(self._do(dry_run=False), "were removed", "were wrong")

    def _do(self, *, dry_run: bool) -> Recovery:
        try:
            return recover(self.stream.pk, dry_run=dry_run, progress=_quietly)
        except EventStoreError as error:
            raise NotDone(f"Nothing was changed: {error}.") from error


REPAIRS: dict[str, type[ReplayStream | RecoverStream]] = {"replay": ReplayStream, "recover": RecoverStream}


def repairs_of(request: HttpRequest, aggregate_id: object) -> list[dict[str, str]]:
    """Label and URL of the dialogs that this user may begin for a stream."""
    return [
        {"label": procedure.button, "url": reverse(f"admin:eventstore_stream_{name}", args=[aggregate_id])}
        for name, procedure in REPAIRS.items()
        if request.user.has_perm(procedure.permission)
    ]


def _quietly(done: int, total: int) -> None:
    """Nobody watches a page's progress."""


def _replayed(result: Replayed, wrong: str) -> str:
    return f"{result.read_model}: {result.events} events replayed, {result.repaired} rows {wrong}"


def _recovered(result: Recovery, removed: str, wrong: str) -> list[str]:
    origin = (
        f"Loaded from the snapshot at version {result.snapshot_version} and {result.events_read} events after it"
        if result.snapshot_version
        else f"There is no usable snapshot: loaded from the {result.events_read} events since version 1"
    )
    lines = [f"{origin}: version {result.version}."]
    if result.bad_snapshots:
        lines.append(f"{result.bad_snapshots} snapshots do not agree with the events: they {removed}.")
    return [*lines, f"{result.repaired} rows {wrong}."]
