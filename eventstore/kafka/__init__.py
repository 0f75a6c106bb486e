"""Events on their way through Kafka: the relay that writes them, the consumers that apply them.

Kafka carries and PostgreSQL decides. A message may come twice, late or not at all: each one names the position
before it in its shard, so that a consumer notices what is missing and takes it from the feed, and each read model's
checkpoints say what it has already applied.
"""
