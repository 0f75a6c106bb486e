"""What the bank was like over the last hours: some figures a minute, kept in PostgreSQL.

The monitor samples them, so that there is one series however many processes run; the overview draws them. They are
for the eye and for a first look back: Prometheus has more, where it runs.
"""

from ops.trends.registry import Trend, register_source, register_trend, registered_trends
from ops.trends.sampling import EVERY, latest, sample, series

__all__ = ["EVERY", "Trend", "latest", "register_source", "register_trend", "registered_trends", "sample", "series"]
