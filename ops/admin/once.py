"""Forms that may be sent once, for effects that cannot be shown again."""

import secrets
from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest

from ops.signin.models import StaffSession

KEPT = 20
Tickets = list[str]


class Once:
    """Tickets of one kind, kept in the session: each is used up by the first POST that carries it, however many come
    at once."""

    def __init__(self, request: HttpRequest, kind: str) -> None:
        self._session = request.session
        self._name = f"once:{kind}"

    def new(self) -> str:
        """A ticket for the form that is about to be shown."""
        ticket = secrets.token_urlsafe(16)
        self._change(lambda tickets: [*tickets, ticket][-KEPT:])
        return ticket

    def use(self, ticket: str) -> bool:
        """Whether the ticket is good; it is not any more."""
        return ticket in self._change(lambda tickets: [other for other in tickets if other != ticket])

    def _change(self, change: Callable[[Tickets], Tickets]) -> Tickets:
        """Puts other tickets into the session, and returns those that were there: none where it has ended.

        This request has read its session before, and writes it when it is over. So what counts is the row, locked:
        who comes at the same time waits, and then sees what is left.
        """
        with transaction.atomic():
            row = StaffSession.objects.select_for_update().filter(pk=self._session.session_key).first()
            if row is None:
                return []
            before: Tickets = row.get_decoded().get(self._name, [])
            after = change(before)
            self._session[self._name] = after
            if after != before:
                self._session.save()
        return before
