"""PostgreSQL as bankes connects to it: Django's backend, with metrics, and a pool that heals at once."""
