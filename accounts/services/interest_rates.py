"""Setting what accounts of a product earn and owe: for days to come, and by two persons."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.utils import timezone

from accounts.domain.interest import format_percent
from accounts.domain.products import PRODUCTS
from accounts.models import Account, InterestRate
from ops.approvals.registry import Approved, CannotDo, Carried, Command, SensitiveAction, Stale


def today() -> date:
    """UTC."""
    return timezone.now().date()


def last_set(product: str, currency: str, day: date) -> InterestRate | None:
    """The rate that counts on a day."""
    rates = InterestRate.objects.filter(product=product, currency=currency, from_day__lte=day)
    return rates.order_by("-from_day", "-id").first()


def in_words(rate: InterestRate | None) -> str:
    if rate is None:
        return "earns and owes nothing"
    return f"earns {format_percent(rate.earned)} and owes {format_percent(rate.owed)} a year"


class SetInterestRate(SensitiveAction):
    """{"product", "currency", "from_day": ISO 8601, "earned", "owed": millionths a year}."""

    name = "set_interest_rate"
    title = "Set an interest rate"
    permission = "accounts.set_interestrate"

    def preview(self, command: Command) -> Sequence[str]:
        rate = self._rate(command)
        before = last_set(rate.product, rate.currency, rate.from_day)
        accounts = Account.objects.filter(product=rate.product, currency=rate.currency).exclude(status="closed")
        name = f"{PRODUCTS[rate.product].name} in {rate.currency}"
        return [
            f"From {rate.from_day} (UTC) on, a {name} {in_words(rate)}.",
            f"Without it, it {in_words(before)} then.",
            f"Accounts that it is about, as of now: {accounts.count()}.",
        ]

    def versions(self, command: Command) -> dict[str, Any]:
        """Another rate that was set meanwhile is a reason to look again."""
        rates = InterestRate.objects.filter(product=command["product"], currency=command["currency"])
        return {"last_set": rates.order_by("-id").values_list("pk", flat=True).first()}

    def in_words(self, command: Command) -> Sequence[tuple[str, str]]:
        product = PRODUCTS.get(command["product"])
        return [
            ("Product", product.name if product else command["product"]),
            ("Currency", command["currency"]),
            ("From (UTC)", command["from_day"]),
            ("Earned a year", format_percent(command["earned"])),
            ("Owed a year", format_percent(command["owed"])),
        ]

    def differences(self, then: dict[str, Any], now: dict[str, Any]) -> Sequence[str]:
        return ["Another rate was set for this product and currency."] if then != now else []

    def execute(self, command: Command, approved: Approved) -> Carried:
        if not InterestRate.objects.filter(approval_id=approved.id).exists():
            if self.versions(command) != approved.versions:
                raise Stale("Another rate was set since it was asked for. Nothing was done.")
            rate = self._rate(command)
            rate.asked_by, rate.approved_by = approved.asked_by, approved.decided_by
            rate.reason, rate.approval_id = approved.reason, approved.id
            InterestRate.objects.bulk_create([rate], ignore_conflicts=True)
        rate = InterestRate.objects.get(approval_id=approved.id)
        return Carried([f"{rate}: {in_words(rate)}."])

    def _rate(self, command: Command) -> InterestRate:
        rate = InterestRate(
            product=command["product"],
            currency=command["currency"],
            from_day=date.fromisoformat(command["from_day"]),
            earned=command["earned"],
            owed=command["owed"],
        )
        if rate.from_day <= today():
            raise CannotDo(
                f"{rate.from_day} has begun (days are UTC days): what was earned on a day does not change. Choose a "
                "day to come."
            )
        return rate
