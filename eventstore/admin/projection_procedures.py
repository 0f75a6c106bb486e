"""What staff do with read models: compare, rebuild and swap, undo; pause and have them go on."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from eventstore import projections
from eventstore.approvals import Swap, cannot_rebuild, compared
from eventstore.models import ProjectionState
from eventstore.projections import checkpoints
from eventstore.projections.base import Inline, Projection
from ops.admin.managed import NotDone
from ops.admin.procedure import AtOnce, ByJob, Plan, Procedure
from ops.approvals.registry import CannotDo


class _OfProjection(Procedure):
    permission = "eventstore.rebuild_projection"
    command = "manage.py rebuild_projection"

    def __init__(self, name: str) -> None:
        self.name = name
        self.read_model: Projection[Any] | Inline = projections.get(name)

    @property
    def subject(self) -> str:
        return f"projection:{self.name}"

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"name": self.name}


class Compare(_OfProjection, ByJob):
    action = job = "compare_projection"
    button = "Compare with a rebuild"
    about = (
        "Fills the read model anew from all events, beside the one in use, compares the two, and throws the new one "
        "away. Nothing changes; the report says what a swap would mend."
    )

    def plan(self, data: dict[str, Any]) -> Plan:
        if why := cannot_rebuild(self.read_model):
            raise NotDone(why)
        return Plan([f"{self.name} is filled anew beside the one in use and compared with it.", compared(self.name)])


class RebuildAndSwap(_OfProjection, ByJob):
    action = job = "swap_projection"
    button = "Rebuild and swap"
    about = "Fills the read model anew from all events and puts it in the place of the one in use. It can be undone."

    def two_persons(self, data: dict[str, Any]) -> str:
        return Swap.name

    def plan(self, data: dict[str, Any]) -> Plan:
        try:
            return Plan(Swap().preview({"name": self.name}))
        except CannotDo as error:
            raise NotDone(str(error)) from error


class Undo(_OfProjection, ByJob):
    action = job = "undo_projection"
    button = "Undo the last rebuild"
    about = (
        "Puts the tables that the last rebuild replaced back in use. They catch up from where they were left, and "
        "their dead letters wait again; the rebuilt ones are thrown away."
    )

    def plan(self, data: dict[str, Any]) -> Plan:
        if not isinstance(self.read_model, Projection):
            raise NotDone(f"{self.name} is mended in place: there is nothing to go back to.")
        with connection.cursor() as cursor:
            current = checkpoints.active(cursor, self.name)
            cursor.execute(
                "SELECT max(generation) FROM projection_checkpoints WHERE projection = %s AND generation < %s",
                (self.name, current.number),
            )
            (before,) = cursor.fetchone()
        if before is None:
            raise NotDone(f"{self.name} has no previous generation: it was never rebuilt, or that was undone.")
        return Plan([f"{self.name} goes back from generation {current.number} to generation {before}."])


class _Pausing(_OfProjection, AtOnce):
    """At once: whoever pauses wants nothing more to be applied."""

    permission = "eventstore.pause_projection"
    command = "the page of the projection"

    def _state(self) -> ProjectionState:
        state = ProjectionState.objects.filter(pk=self.name).first()
        if state is None:
            raise NotDone(f"{self.name} has not begun yet.")
        return state


class Pause(_Pausing):
    action = "pause_projection"
    button = "Pause"
    about = (
        "Nothing more is applied to the read model until somebody resumes it. Events are neither lost nor skipped."
    )

    def plan(self, data: dict[str, Any]) -> Plan:
        state = self._state()
        if state.paused_by:
            raise NotDone(f"It is paused already, by {state.paused_by}.")
        return Plan([f"{self.name} stops after the batch in hand. Its statements and lists fall behind."])

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        with connection.cursor() as cursor:
            if not checkpoints.pause(cursor, self.name, by=actor, reason=reason):
                raise NotDone("It is paused already.")
        return [f"{self.name} is paused."]


class Resume(_Pausing):
    action = "resume_projection"
    button = "Resume"
    about = "The read model goes on from where it stands."

    def plan(self, data: dict[str, Any]) -> Plan:
        state = self._state()
        if not state.paused_by:
            raise NotDone("Nobody has paused it.")
        return Plan([f"{self.name}, paused by {state.paused_by}, goes on within a second."])

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        with connection.cursor() as cursor:
            if not checkpoints.resume(cursor, self.name):
                raise NotDone("Nobody has paused it.")
        return [f"{self.name} goes on."]


PROCEDURES: dict[str, type[Compare | RebuildAndSwap | Undo | Pause | Resume]] = {
    "pause": Pause,
    "resume": Resume,
    "compare": Compare,
    "swap": RebuildAndSwap,
    "undo": Undo,
}
