"""The settings that are in force, and where each came from."""
