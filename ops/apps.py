"""The ground floor as a Django app."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "ops"
    verbose_name = "Operations"

    def ready(self) -> None:
        from ops import breaker, tracing
        from ops.approvals import own
        from ops.approvals.registry import register_sensitive
        from ops.audit import signals  # noqa: F401  (connects its receivers)
        from ops.board.facts import every_second, register_fact
        from ops.cache import emptying
        from ops.cache import metrics as cache_metrics
        from ops.cache.jobs import EVICT
        from ops.detectors.outages import register_server
        from ops.drills import pool, redis
        from ops.drills.registry import register_part
        from ops.health import database, jobs, memory, monitor, operations, timeouts
        from ops.health.registry import register_check
        from ops.jobs.cleanup import CLEANUP, ApprovedCleanup
        from ops.jobs.registry import register_action
        from ops.metrics import machine
        from ops.metrics.measures import MEASURES
        from ops.metrics.registry import register_measures
        from ops.trends import Trend, register_trend

        tracing.require_packages()
        register_fact("breakers", breaker.states)
        register_fact("breaker_details", breaker.details)
        register_fact("cache", cache_metrics.fact)
        register_fact("cache_emptied", emptying.fact)
        register_fact(machine.FACT, machine.of_this_process)
        every_second(emptying.look)
        register_check("database", database.check_database, asks="postgresql", serving=True)
        register_check("pool", database.check_pool, asks="boards")
        register_check("deadlocks", operations.check_deadlocks, asks="postgresql")
        register_check("operations", operations.check_operations, asks="boards")
        register_check("monitor", monitor.check_monitor, asks="postgresql")
        register_check("jobs", jobs.check_jobs, asks="postgresql")
        register_check("timeouts", timeouts.check_timeouts, asks="boards")
        register_check("cache", memory.check_cache, asks="boards")
        register_check("redis", memory.check_redis)
        register_server("redis", "Redis", memory.silence)
        register_measures(MEASURES)
        register_trend(Trend("operations_in_hand", "Operations in hand", "operations", "operations", "in_hand"))
        register_trend(Trend("pool_utilization", "Fullest connection pool", "of its limit", "pool", "utilization"))
        register_action(CLEANUP)
        register_action(EVICT)
        for sensitive in (ApprovedCleanup(), own.Terminate(), own.IssueKey()):
            register_sensitive(sensitive)
        register_part("pool", pool.ExhaustedPool)
        register_part("redis", redis.HungRedis)
