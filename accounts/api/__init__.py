"""API v1: HTTP in front of `accounts.services` and `accounts.selectors`. It translates and decides nothing."""
