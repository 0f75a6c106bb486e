"""The roof: settings, URLs, servers. It wires the floors together and holds no logic of its own."""

from bankes.celery import app as celery_app  # so that every process sends its tasks to the bank's broker

__all__ = ["celery_app"]
