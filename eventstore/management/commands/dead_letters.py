"""Dead letters from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from eventstore.approvals import Discard
from eventstore.errors import EventStoreError
from eventstore.models import DeadLetter
from eventstore.projections import dead_letters
from eventstore.projections.dead_letters import WAITING, NotResolvable, Redrive
from ops.approvals.asking import ask
from ops.approvals.deciding import NotDecided, approve
from ops.approvals.models import Approval
from ops.approvals.persons import Person
from ops.approvals.registry import CannotDo
from ops.audit.record import record_act
from ops.management.working import WorkingCommand

LISTED, MAX_LISTED = 200, 10_000


class Command(WorkingCommand):
    help = (
        "Shows and resolves events that a read model could not take, and messages that were none. A discard is asked "
        "for by one person (--reason) and confirmed by another (--confirm)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser("list", help="the unresolved ones, oldest first")
        listed.add_argument("--all", action="store_true", help="resolved ones too, newest first")
        listed.add_argument("--limit", type=int, default=LISTED, help=f"at most so many; default {LISTED}")
        listed.add_argument("--after", type=int, metavar="ID", help="those that follow that one in the list")
        for name, what in (("show", "one, whole"), ("retry", "apply its stream's events again, in order")):
            actions.add_parser(name, help=what).add_argument("id", type=int)
        actions.choices["retry"].add_argument("--by", required=True, help="who does it")
        actions.choices["retry"].add_argument("--reason", default="", help="why, for the audit")
        discard = actions.add_parser("discard", help="leave an event out of the read model")
        discard.add_argument("id", type=int)
        discard.add_argument("--by", required=True, help="who asks for it, or confirms it")
        discard.add_argument("--reason", default="", help="why: this asks for it")
        discard.add_argument("--confirm", action="store_true", help="as the second person: this does it")
        acknowledge = actions.add_parser("acknowledge", help="unreadable messages wait for nobody any more")
        acknowledge.add_argument("id", type=int, nargs="+")
        acknowledge.add_argument("--by", required=True, help="who has looked into them")
        acknowledge.add_argument("--reason", required=True, help="what they were")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except EventStoreError as error:
            raise CommandError(f"Nothing was changed: {error}") from error

    def _list(self, options: dict[str, Any]) -> None:
        limit, after = options["limit"], options["after"]
        if not 1 <= limit <= MAX_LISTED:
            raise CommandError(f"--limit must be from 1 to {MAX_LISTED}")
        letters = DeadLetter.objects.defer("traceback", "message_key", "message_value").order_by("-id")
        if not options["all"]:
            letters = letters.filter(state__in=(*WAITING, "unreadable"), resolved_at=None).order_by("id")
        if after is not None:
            letters = letters.filter(**{"id__lt" if options["all"] else "id__gt": after})
        found = list(letters[: limit + 1])
        for letter in found[:limit]:
            self.stdout.write(
                f"{letter.id:>8} {letter.state:<10} {letter.projection:<16} {letter.event_type:<20} "
                f"{letter.aggregate_id or letter.topic} v{letter.version or '-'}  {letter.error.splitlines()[:1]}"
            )
        if len(found) > limit:
            self.stdout.write(f"There are more: the same with --after {found[limit - 1].id} goes on with them.")
        if not found:
            self.stdout.write("There are no dead letters." if after is None else f"None follows {after}.")

    def _show(self, options: dict[str, Any]) -> None:
        letter = DeadLetter.objects.filter(id=options["id"]).first()
        if letter is None:
            raise NotResolvable(f"there is no dead letter {options['id']}")
        for field in DeadLetter._meta.fields:
            value = getattr(letter, field.name)
            if value not in ("", None):
                self.stdout.write(f"{field.name}: {value}")

    def _retry(self, options: dict[str, Any]) -> None:
        by = f"command:{options['by']}"
        redrive = dead_letters.retry(options["id"], by=by)
        record_act(
            actor=by,
            action="retry_dead_letter",
            subject=f"deadletter:{options['id']}",
            reason=options["reason"],
            done=not redrive.error,
            detail={"applied": redrive.applied, "left": redrive.left},
        )
        self._tell(redrive)

    def _discard(self, options: dict[str, Any]) -> None:
        """The same question as in the admin: who asked here may be answered there, and the other way round."""
        person, reason = Person(f"command:{options['by']}"), options["reason"].strip()
        subject = f"deadletter:{options['id']}"
        if options["confirm"]:
            self._confirm(subject, person, reason)
            return
        if not reason:
            raise NotResolvable("a discard needs a reason")
        try:
            ask(Discard.name, {"letter": options["id"]}, subject=subject, reason=reason, by=person)
        except CannotDo as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Asked for. Another person confirms it with --confirm, or approves it in the admin.")

    def _acknowledge(self, options: dict[str, Any]) -> None:
        letter_ids, by, reason = list(dict.fromkeys(options["id"])), f"command:{options['by']}", options["reason"]
        with transaction.atomic():
            dead_letters.acknowledge(letter_ids, by=by, reason=reason)
            for letter_id in letter_ids:
                record_act(
                    actor=by,
                    action="acknowledge_dead_letter",
                    subject=f"deadletter:{letter_id}",
                    reason=reason,
                    done=True,
                    detail={},
                )
        it_is = "It is" if len(letter_ids) == 1 else f"All {len(letter_ids)} are"
        self.stdout.write(f"{it_is} acknowledged, and on record.")

    def _confirm(self, subject: str, person: Person, reason: str) -> None:
        waiting = Approval.objects.filter(action=Discard.name, subject=subject, state=Approval.State.PENDING).first()
        if waiting is None:
            raise NotResolvable("nobody has asked for that: that comes first")
        try:
            decided = approve(waiting.pk, by=person, reason=reason or "confirmed by command", digest=waiting.digest)
        except (NotDecided, CannotDo) as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        told = " ".join(decided.result)
        if decided.outcome != Approval.Outcome.DONE:
            later = "It was approved and could not be carried out yet: it is tried again."
            raise CommandError(f"Nothing was changed: {told}" if told else later)
        self.stdout.write(told)

    def _tell(self, redrive: Redrive) -> None:
        if redrive.error:
            raise CommandError(
                f"{redrive.applied} events applied, then: {redrive.error}. {redrive.left} still wait, in order."
            )
        self.stdout.write(f"{redrive.applied} events applied, {redrive.left} still wait.")
