"""The event store's tiles of the overview."""

from ops.overview import Tile, Values, register_tiles

PROJECTIONS = "admin:eventstore_projectionstate_changelist"
VIEW_PROJECTIONS = "eventstore.view_projectionstate"


def _feed(values: Values) -> str:
    held = values["held_events"]
    return f"{held} events held back" if held else f"{values['last']:,} events"


def _behind(values: Values) -> str:
    return f"{values['lag_events']} behind" if values["lag_events"] else "up to date"


def _kafka(values: Values) -> str:
    if not values["enabled"]:
        return "off"
    return f"{values.get('relay_events') or 0} to relay"


register_tiles(
    Tile("feed", "Feed", _feed, "admin:eventstore_event_changelist", "eventstore.view_event"),
    Tile("projections", "Read models", _behind, PROJECTIONS, VIEW_PROJECTIONS),
    Tile("kafka", "Relay and Kafka", _kafka, "admin:eventstore_kafkaaccess_changelist"),
    Tile(
        "dead_letters",
        "Dead letters",
        lambda values: str(values.get("waiting", "not known")),
        "admin:eventstore_deadletter_changelist",
        "eventstore.view_deadletter",
    ),
)
