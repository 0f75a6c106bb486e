"""What a projection is doing, for its page and the health checks, told by whoever carries it on."""

from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from eventstore.projections import checkpoints
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Paused

log = structlog.get_logger(__name__)


class Teller:
    """Tells of one projection; what goes on as before is told once."""

    def __init__(self, projection: Projection[Any]) -> None:
        self._name = projection.name
        self._told = ""

    def waits(self, paused: Paused) -> None:
        """In the log alone: its state is for whoever has paused it to tell."""
        if self._told != "waits":
            log.info("projection_waits", projection=self._name, reason=str(paused))
        self._told = "waits"

    def record(self, state: str, reason: str = "") -> None:
        """Keeps its state, where the database answers."""
        if state == self._told == "running":
            return
        try:
            with connection.cursor() as cursor:
                checkpoints.set_state(cursor, self._name, state, reason)
            self._told = state
        except DatabaseError:
            connection.close()
            self._told = ""
