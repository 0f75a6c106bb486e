"""The search among postings: one transaction's, or one account's by time, amount and words.

Times are found as versions of the account, which its index orders. No index holds amounts or words: for these the
newest `MOST` postings of the time that was asked for are looked through, and no more; the page says how far that was.
"""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.html import format_html

from accounts.domain.errors import Refusal
from accounts.domain.money import parse_decimal
from accounts.models import Account
from eventstore import store
from eventstore.admin.events import BY_VERSION
from ops.admin.keyset import Keyset
from ops.admin.lists import Filters, id_filter, text_filter, time_filter

MOST = 10_000
_INSTANT = timedelta(microseconds=1)


class PostingFilters(Filters):
    account = id_filter("Account")
    transaction = id_filter("Transaction")
    amount = text_filter(
        "Amount", placeholder="12.34", help_text="With + or - only what came or went.", max_length=40
    )
    words = text_filter("Words", help_text="A part of the description or of the contra account.", max_length=100)
    since = time_filter("From (UTC)")
    until = time_filter("Before (UTC)")

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        account_id = data.get("account")
        if not account_id and "account" not in self.errors:
            for name in ("amount", "words", "since", "until"):
                if data.get(name):
                    self.add_error(name, "Name the account too: it is searched for among the postings of one.")
        elif account_id and data.get("amount"):
            data["amounts"] = self._amounts(account_id, data["amount"].strip())
        return data

    def _amounts(self, account_id: UUID, text: str) -> list[int]:
        """In minor units of the account's currency; either way where no sign says which."""
        currency = Account.objects.filter(pk=account_id).values_list("currency", flat=True).first()
        if currency is None:
            return []
        try:
            minor = parse_decimal(text.lstrip("+-"), currency)
        except Refusal as refusal:
            self.add_error("amount", refusal.message)
            return []
        return [sign * minor for sign, other in ((1, "-"), (-1, "+")) if not text.startswith(other)]

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        data = self.cleaned_data
        if data["transaction"]:
            queryset = queryset.filter(transaction_id=data["transaction"])
        if not data["account"]:
            return queryset, keyset
        found = queryset.filter(account_id=data["account"], **_versions(data))
        if data["amount"] or data["words"]:
            found = self._bounded(found)
        if data["amount"]:
            found = found.filter(amount__in=data["amounts"])
        if words := data["words"].strip():
            found = found.filter(Q(description__icontains=words) | Q(contra__icontains=words))
        return found, BY_VERSION

    def _bounded(self, found: QuerySet[Any]) -> QuerySet[Any]:
        """The newest of them, as many as are looked through."""
        newest = found.order_by("-version").values_list("version", "recorded_at")
        last = list(newest[MOST - 1 : MOST + 1])
        if len(last) < 2:
            return found
        version, moment = last[0]
        minute = (moment + timedelta(minutes=1)).replace(second=0, microsecond=0)  # as the field takes it
        further = urlencode({**self.given(), "until": f"{minute:%Y-%m-%dT%H:%M}"})
        self.notice = format_html(
            'The newest {} of these postings were looked through, back to {} UTC. <a class="b-link" href="?{}">Look '
            "further back</a>",
            MOST,
            f"{moment:%Y-%m-%d %H:%M:%S}",
            further,
        )
        return found.filter(version__gte=version)


def _versions(data: dict[str, Any]) -> dict[str, int]:
    """What was recorded in a time, by the versions of the account."""

    def before(moment: datetime) -> int:
        return store.version_at(data["account"], moment - _INSTANT)

    bounds = {"version__gt": data["since"], "version__lte": data["until"]}
    return {lookup: before(moment) for lookup, moment in bounds.items() if moment}
