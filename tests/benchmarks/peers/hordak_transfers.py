# mypy: ignore-errors
"""django-hordak: `account.transfer_to(other, amount)` between 1,000 accounts."""

import json
import os
import random
import sys
from decimal import Decimal

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="unused",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "mptt", "hordak"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ["PGPASSWORD"],
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    CURRENCIES=["EUR"],
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from hordak.models import Account, Leg, Transaction  # noqa: E402
from moneyed import Money  # noqa: E402
from spread import Work, measure  # noqa: E402

ONE = Money(Decimal("0.01"), "EUR")


def prepare() -> None:
    call_command("migrate", verbosity=0)
    for number in range(1000):
        Account.objects.create(name=f"Account {number}", code=str(number), type="AS", currencies=["EUR"])


def connect() -> Work:
    accounts = list(Account.objects.all())

    def transfer() -> None:
        source, target = random.sample(accounts, 2)
        with transaction.atomic():
            source.transfer_to(target, ONE)

    return transfer


def main() -> None:
    if sys.argv[1] == "prepare":
        prepare()
        return
    before = Transaction.objects.count()
    result = measure(connect, int(sys.argv[2]), float(sys.argv[3]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(credit), 0) - coalesce(sum(debit), 0) FROM hordak_leg")
        (sum_of_legs,) = cursor.fetchone()
    wrong = [f"the legs sum to {sum_of_legs}"] if sum_of_legs else []
    if Leg.objects.count() != 2 * Transaction.objects.count() or Transaction.objects.count() < before:
        wrong.append("transactions without two legs")
    print(json.dumps(result | {"wrong": wrong}))


if __name__ == "__main__":
    main()
