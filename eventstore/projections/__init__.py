"""The projection engine: read models that follow the feed, exactly once.

A projection's rows and its checkpoints move in one transaction; an event at or below its shard's checkpoint is
skipped. So a crash, a restart or a second runner neither loses nor repeats anything.
"""

from eventstore.projections.base import (
    Inline,
    Orphans,
    Projection,
    Report,
    Slice,
    all_read_models,
    get,
    register,
    registered,
)

__all__ = ["Inline", "Orphans", "Projection", "Report", "Slice", "all_read_models", "get", "register", "registered"]
