"""Forms that may be sent once, for effects that cannot be shown again."""

import secrets

from django.http import HttpRequest

KEPT = 20


class Once:
    """Tickets of one kind, kept in the session: each is used up by the first POST that carries it."""

    def __init__(self, request: HttpRequest, kind: str) -> None:
        self._session = request.session
        self._name = f"once:{kind}"

    def new(self) -> str:
        """A ticket for the form that is about to be shown."""
        ticket = secrets.token_urlsafe(16)
        self._session[self._name] = [*self._session.get(self._name, []), ticket][-KEPT:]
        return ticket

    def use(self, ticket: str) -> bool:
        """Whether the ticket is good; it is not any more."""
        tickets = self._session.get(self._name, [])
        if ticket not in tickets:
            return False
        self._session[self._name] = [other for other in tickets if other != ticket]
        return True
