"""What takes two persons on this floor: leaving an event out of a read model, and swapping a rebuilt one in."""

from collections.abc import Sequence
from typing import Any

from eventstore import projections
from eventstore.models import DeadLetter, ProjectionState
from eventstore.projections import dead_letters
from eventstore.projections.base import Inline, Projection
from eventstore.projections.dead_letters import NotResolvable, Redrive
from ops.approvals.jobs import ApprovedJob
from ops.approvals.registry import Approved, CannotDo, Carried, Command, SensitiveAction
from ops.jobs.models import Job
from ops.jobs.registry import title_of


class Discard(SensitiveAction):
    """{"letter": id}."""

    name = "discard_dead_letter"
    title = "Discard a dead letter"
    permission = "eventstore.resolve_deadletter"

    def preview(self, command: Command) -> Sequence[str]:
        letter = self._letter(command)
        if letter.state != "failed":
            raise CannotDo(
                f"Dead letter {letter.pk} is {letter.state}, not a failed event: only those can be discarded."
            )
        behind = DeadLetter.objects.filter(
            projection=letter.projection,
            generation=letter.generation,
            aggregate_id=letter.aggregate_id,
            state="parked",
        ).count()
        return [
            f"The read model {letter.projection} leaves out {letter.event_type}, version {letter.version} of stream "
            f"{letter.aggregate_id}, until it is made anew or wound back to before that: then it is tried again. The "
            "books keep it.",
            f"Its error: {letter.error or 'none'}",
            f"{behind} events that wait behind it are applied.",
        ]

    def versions(self, command: Command) -> dict[str, Any]:
        letter = self._letter(command)
        return {"state": letter.state, "generation": letter.generation, "error": letter.error}

    def execute(self, command: Command, approved: Approved) -> Carried:
        """Carried out a second time, it finds the letter discarded by the same two persons, and applies what still
        waits behind it: the first time may have been interrupted."""
        letter = self._letter(command)
        whose = (letter.discard_requested_by, letter.resolved_by)
        try:
            if letter.state == "discarded" and whose == (approved.asked_by, approved.decided_by):
                done = dead_letters.release(letter.pk, by=approved.decided_by)
            else:
                done = dead_letters.discard(
                    letter.pk, asked_by=approved.asked_by, by=approved.decided_by, reason=approved.reason
                )
        except NotResolvable as error:
            raise CannotDo(f"{error}.") from error
        return Carried(["The event is left out.", redrive_in_words(done)])

    def _letter(self, command: Command) -> DeadLetter:
        letter = DeadLetter.objects.filter(pk=command["letter"]).defer("traceback", "message_value").first()
        if letter is None:
            raise CannotDo(f"There is no dead letter {command['letter']}.")
        return letter


def redrive_in_words(redrive: Redrive) -> str:
    told = f"{redrive.applied} events were applied, {redrive.left} still wait."
    return f"{told} The next one failed: {redrive.error}" if redrive.error else told


class Swap(ApprovedJob):
    """{"name": read model}. It is filled anew from all events, compared once more, and takes the place of the one in
    use, which is kept for an undo."""

    name = "swap_projection"
    title = "Rebuild a read model and swap it in"
    permission = "eventstore.rebuild_projection"

    def subject(self, command: Command) -> str:
        return f"projection:{command['name']}"

    def preview(self, command: Command) -> Sequence[str]:
        name = command["name"]
        try:
            read_model = projections.get(name)
        except LookupError as error:
            raise CannotDo(str(error)) from error
        if not isinstance(read_model, Projection):
            return [f"{name} is compared with the events, and its rows are mended in place.", compared(name)]
        if why := cannot_rebuild(read_model):
            raise CannotDo(why)
        return [
            f"The tables {', '.join(read_model.tables)} are filled anew from all events, beside those in use.",
            "Then they take their place. Reading goes on all the while; the replaced ones are kept for an undo.",
            compared(name),
        ]

    def versions(self, command: Command) -> dict[str, Any]:
        state = ProjectionState.objects.filter(pk=command["name"]).first()
        read_model = projections.get(command["name"])
        return {
            "generation": state.active_generation if state else 1,
            "code_version": read_model.version if isinstance(read_model, Projection) else 1,
        }


def cannot_rebuild(read_model: Projection[Any] | Inline) -> str:
    """Why a read model is neither rebuilt nor compared; "" where nothing speaks against it."""
    if not isinstance(read_model, Projection):
        return ""
    if read_model.has_side_effects:
        return f"{read_model.name} cannot be rebuilt: all that was ever sent would be sent again."
    state = ProjectionState.objects.filter(pk=read_model.name).first()
    if state and state.paused_by:
        return f"{read_model.name} is paused by {state.paused_by}, and this would carry it on: resume it first."
    return ""


def compared(name: str) -> str:
    """What the last comparison of a read model with its events found, in words."""
    jobs = Job.objects.filter(action="compare_projection", subject=f"projection:{name}", state=Job.State.DONE)
    last = jobs.order_by("-id").first()
    if last is None:
        return f"It was not compared with the events yet: “{title_of('compare_projection')}” shows what a swap mends."
    return f"Last compared {last.ended_at:%Y-%m-%d %H:%M} UTC: {' '.join(last.report)}"
