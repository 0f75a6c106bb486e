"""Metrics for Prometheus: counters of the processes, and what the health checks measure, in one answer."""
