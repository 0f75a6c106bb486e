"""The store's tables as Django sees them, for reading. Their definitions are in `eventstore/sql`."""

from django.db import models


class Event(models.Model):
    """A row of the books. Read-only: the database refuses any change, whoever asks."""

    position = models.BigIntegerField(primary_key=True)
    aggregate_id = models.UUIDField()
    aggregate_type = models.TextField()
    version = models.BigIntegerField()
    event_id = models.UUIDField()
    event_type = models.TextField()
    schema_version = models.SmallIntegerField()
    command_id = models.UUIDField()
    data = models.JSONField()
    metadata = models.JSONField()
    timestamp = models.DateTimeField()
    hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "events"
        ordering = ["-position"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.event_type} v{self.version}"


class Stream(models.Model):
    """Where a stream ends."""

    aggregate_id = models.UUIDField(primary_key=True)
    aggregate_type = models.TextField()
    version = models.BigIntegerField()
    head_hash = models.BinaryField()
    last_timestamp = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "streams"
        ordering = ["-aggregate_id"]
        default_permissions = ("view",)
        permissions = [
            ("replay_stream", "Can replay a stream into the read models"),
            ("recover_stream", "Can recover a stream from its snapshot"),
        ]

    def __str__(self) -> str:
        return f"{self.aggregate_type} {self.aggregate_id}"


class IdempotencyRecord(models.Model):
    """What a caller's key led to. (Several columns make its key; Django is told of one for its bookkeeping.)"""

    command_id = models.UUIDField(primary_key=True)
    scope = models.TextField()
    key = models.TextField()
    fingerprint = models.BinaryField()
    aggregate_id = models.UUIDField()
    result = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "idempotency_records"
        ordering = ["-created_at"]
        default_permissions = ("view",)


class ProjectionState(models.Model):
    """What a read model is doing, and which filling of its tables is read."""

    name = models.TextField(primary_key=True)
    code_version = models.IntegerField()
    active_generation = models.IntegerField()
    state = models.TextField()
    reason = models.TextField()
    changed_at = models.DateTimeField()
    paused_by = models.TextField()
    paused_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "projections"
        ordering = ["name"]
        default_permissions = ("view",)
        permissions = [
            ("pause_projection", "Can pause projections and have them go on"),
            ("rebuild_projection", "Can rebuild read models, swap them in and undo that"),
        ]

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """An event that a read model could not take, one parked behind it, or a message that was no event."""

    id = models.BigAutoField(primary_key=True)
    state = models.TextField()
    projection = models.TextField()
    generation = models.IntegerField()
    position = models.BigIntegerField(null=True)
    aggregate_id = models.UUIDField(null=True)
    version = models.BigIntegerField(null=True)
    event_type = models.TextField()
    attempts = models.IntegerField()
    error = models.TextField()
    traceback = models.TextField()
    created_at = models.DateTimeField()
    last_attempt_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.TextField()
    reason = models.TextField()
    discard_requested_by = models.TextField()
    published_at = models.DateTimeField(null=True)
    topic = models.TextField()
    kafka_partition = models.IntegerField(null=True)
    kafka_offset = models.BigIntegerField(null=True)
    message_key = models.BinaryField(null=True)
    message_value = models.BinaryField(null=True)

    class Meta:
        managed = False
        db_table = "dead_letters"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("resolve_deadletter", "Can retry and discard dead letters")]

    def __str__(self) -> str:
        return f"{self.projection} {self.state} {self.id}"


class KafkaAccess(models.Model):
    """No table: the page of Kafka hangs on it."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "Kafka"
