"""Drills about accounts and commands, and the customers of all drills."""

from ops.drills.registry import register_customers, register_part


def register() -> None:
    from accounts.drills.cache import SmallCache
    from accounts.drills.customers import customers
    from accounts.drills.deadlock import BlockedStream, RealDeadlocks
    from accounts.drills.poison import PoisonEvent
    from accounts.drills.timeouts import SlowStatement

    register_customers(customers)
    register_part("deadlock", BlockedStream)
    register_part("deadlock", RealDeadlocks)
    register_part("timeouts", SlowStatement)
    register_part("cache", SmallCache)
    register_part("kafka", PoisonEvent)
