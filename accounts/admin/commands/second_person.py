"""Commands that staff may not give alone: put before a second person in place of being executed."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.admin.commands.forms import CommandForm
from accounts.admin.commands.pages import CommandPage
from accounts.domain.commands import Command
from accounts.services.approvals import as_command
from accounts.services.day_limits import DayLimit
from accounts.services.second_person import second_person
from ops.admin.procedure import ASKED
from ops.approvals.asking import AlreadyAsked, ask
from ops.approvals.persons import Person
from ops.audit.record import staff_actor
from ops.html import page_of


def why_two(request: HttpRequest, command: Command) -> tuple[str | None, DayLimit | None]:
    """As `second_person`, of this user."""
    return second_person(command, list(request.user.groups.values_list("name", flat=True)), staff_actor(request.user))


def ask_for(
    request: HttpRequest, page: CommandPage, form: CommandForm, command: Command, why: str, *, back: str
) -> HttpResponse:
    """Asks, and leads to the question; to `back` who may not see questions.

    Raises:
        CannotDo: it cannot be asked for, and why.
    """
    person = Person.of(request)
    try:
        approval = ask(
            page.name,
            as_command(command),
            subject=form.subject.label,
            reason=form.cleaned_data["reason"],
            by=person,
            limit=why,
        )
    except AlreadyAsked as error:
        messages.warning(request, str(error))
        approval = error.approval
    else:
        messages.success(request, ASKED)
    may_see = request.user.has_perm("ops.view_approval")
    return HttpResponseRedirect(page_of("ops.approval", approval.pk) if may_see else back)
