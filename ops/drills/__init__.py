"""Drills: each symptom of the troubleshooting guide, produced for real on a test installation.

A drill is one or several parts, one after another. Each part makes something go wrong, waits until the bank itself
says so over HTTP, does what the manual says, and waits until the bank says that it is well again. Customers move
money all the while; in the end nothing that was acknowledged to them may be missing, or there twice.

Parts are registered by name in `AppConfig.ready()`, by the floor that knows what they are about; so are the
customers.
"""
