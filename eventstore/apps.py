"""The event store as a Django app."""

from django.apps import AppConfig


class EventStoreConfig(AppConfig):
    name = "eventstore"
    verbose_name = "Event store"

    def ready(self) -> None:
        from eventstore import approvals, health, jobs, projections
        from eventstore.cleanup import clean_up_all
        from eventstore.drills.kafka import StoppedConsumers
        from eventstore.projections.snapshots import Snapshots
        from ops.approvals.registry import register_sensitive
        from ops.database.locks import Family, register_family
        from ops.debug.cleanup import register_cleanup
        from ops.drills.registry import register_part

        projections.register(Snapshots())
        register_part("kafka", StoppedConsumers)
        register_family(Family(mark=0x0F, name="open append, which holds the feed back", most=5.0))
        health.register()
        jobs.register()
        register_sensitive(approvals.Discard())
        register_sensitive(approvals.Swap())
        register_cleanup(clean_up_all)
