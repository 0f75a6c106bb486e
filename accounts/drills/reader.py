"""`python -m accounts.drills.reader`: a process that reads accounts over and over, for the drill `cache`."""

import argparse
import os
import time
from uuid import UUID

PAUSE = 0.002
"""Seconds between two reads."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache-max-size", required=True)
    parser.add_argument("accounts", nargs="+", type=UUID)
    options = parser.parse_args()
    os.environ["CACHE_MAX_SIZE"] = options.cache_max_size  # as the environment of a service would give it
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankes.settings")
    import django

    django.setup()
    from accounts.cache import account

    while True:
        for account_id in options.accounts:
            account(account_id, at_least=1)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main()
