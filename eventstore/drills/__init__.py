"""Drills about what follows the events."""
