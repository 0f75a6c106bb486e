"""The journal, daily balances, reversals and proofs of the ledger: read-only lists."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join

from accounts.admin.cells import CURRENCY, account_link, amount, ledger_account, transaction_link
from accounts.models import DailyBalance, JournalLine, LedgerProof, Reversal
from eventstore import projections
from eventstore.models import Event
from eventstore.projections import all_read_models
from eventstore.projections.base import Inline
from ops.admin.keyset import BY_ID, BY_NUMBER, Keyset, date_key
from ops.admin.lists import Column, Filters, KeysetAdmin, id_filter, text_filter
from ops.admin.procedure import ByJob, Plan, run
from ops.html import badge, day, link, page_of, when

BY_DAY = Keyset(("day",), (date_key,))


class JournalFilters(Filters):
    transaction = id_filter("Transaction")
    ledger = text_filter("Ledger account", placeholder="cash:EUR or account:<id>", max_length=60)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        data = self.cleaned_data
        if data["transaction"]:
            queryset = queryset.filter(transaction_id=data["transaction"])
        if data["ledger"]:
            queryset = queryset.filter(ledger_account=data["ledger"])
        return queryset, keyset


@admin.register(JournalLine)
class JournalLineAdmin(KeysetAdmin):
    list_title = "Journal"
    about = "Both sides of every posting, newest first. The lines of a transaction sum to zero per currency."
    when_empty = "Lines appear when money has moved and the projector runs (manage.py run_projections)."
    keyset = BY_NUMBER
    filters = JournalFilters
    columns = (
        Column("Ledger account", lambda line: ledger_account(line.ledger_account)),
        Column("Amount", lambda line: amount(line.amount, line.currency), numeric=True),
        Column("Value date", lambda line: day(line.value_date)),
        Column("Recorded (UTC)", lambda line: when(line.recorded_at)),
        Column("Transaction", lambda line: transaction_link(line.transaction_id)),
    )
    export_also = (CURRENCY,)


class DailyBalanceFilters(Filters):
    account = id_filter("Account")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        account = self.cleaned_data["account"]
        return (queryset.filter(account_id=account), BY_DAY) if account else (queryset, keyset)


@admin.register(DailyBalance)
class DailyBalanceAdmin(KeysetAdmin):
    about = "What each account stood at when a day ended (UTC), for the days on which money moved."
    when_empty = "Rows appear when money has moved and the projector runs (manage.py run_projections)."
    keyset = BY_NUMBER
    filters = DailyBalanceFilters
    columns = (
        Column("Account", lambda row: account_link(row.account_id)),
        Column("Day", lambda row: day(row.day)),
        Column("Closing balance", lambda row: amount(row.closing_balance, row.currency), numeric=True),
        Column("Credits", lambda row: amount(row.credits, row.currency), numeric=True),
        Column("Debits", lambda row: amount(row.debits, row.currency), numeric=True),
        Column("Postings", lambda row: row.postings, numeric=True),
    )
    export_also = (CURRENCY,)


class ReversalFilters(Filters):
    transaction = id_filter("Transaction")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        wanted = self.cleaned_data["transaction"]
        return (queryset.filter(pk=wanted) if wanted else queryset), keyset


@admin.register(Reversal)
class ReversalAdmin(KeysetAdmin):
    about = "Which transaction was undone by which; each at most once."
    when_empty = "No transaction was reversed yet. A supervisor reverses one from its page."
    keyset = BY_ID
    filters = ReversalFilters
    columns = (
        Column("Transaction", lambda row: transaction_link(row.transaction_id)),
        Column("Reversed by", lambda row: transaction_link(row.reversed_by)),
    )


def verdict(proof: LedgerProof) -> object:
    return badge("Proved", "good") if proof.differences == 0 else badge(proof.verdict, "bad")


def in_lines(sentences: Sequence[str]) -> object:
    told = format_html_join("", "<li>{}</li>", ((sentence,) for sentence in sentences))
    return format_html('<ul class="b-lines">{}</ul>', told)


def mended_at(differences: Sequence[str]) -> object:
    """Links to the read models whose tables begin the sentences. (Where a stream itself is broken there is nothing to
    mend: events are never altered.)"""
    tables = {difference.partition(":")[0] for difference in differences}
    found = [model.name for model in all_read_models() if tables & set(model.tables)]
    links = [link(_read_model_url(name), f"Read model {name}") for name in found]
    if not links:
        return "Events are never altered: freeze the accounts of these streams, and have somebody look."
    return format_html_join(" · ", "{}", ((each,) for each in links))


def _read_model_url(name: str) -> str:
    """Its page; of one that is written with the events there is none, so where it is compared."""
    if isinstance(projections.get(name), Inline):
        return reverse("admin:eventstore_projection_compare", args=[name])
    return page_of("eventstore.projectionstate", name)


class Verify(ByJob):
    action = job = "verify_ledger"
    permission = "accounts.verify_ledger"
    button = "Prove the books"
    about = "Recomputes every hash, folds every stream and compares all read models with the events. Changes nothing."
    command = "manage.py verify_ledger"
    subject = "ledger"

    def plan(self, data: dict[str, Any]) -> Plan:
        events = Event.objects.order_by("-position").values_list("position", flat=True).first() or 0
        return Plan([f"All events up to position {events} are read twice, and the result is kept as a proof."])


@admin.register(LedgerProof)
class LedgerProofAdmin(KeysetAdmin):
    about = "Runs of the verification: every hash recomputed, every stream folded and compared with the read models."
    when_empty = "Have one made: “Prove the books”, or manage.py verify_ledger."
    keyset = BY_NUMBER
    deferred = ("first_differences",)
    columns = (
        Column("When (UTC)", lambda proof: link(page_of("accounts.ledgerproof", proof.pk), when(proof.at))),
        Column("Verdict", verdict),
        Column("Events", lambda proof: proof.events, numeric=True),
        Column("Streams", lambda proof: proof.streams, numeric=True),
        Column("Up to position", lambda proof: proof.position, numeric=True),
        Column("Seals", lambda proof: proof.seals, numeric=True),
        Column("Seconds", lambda proof: f"{proof.seconds:.1f}", numeric=True),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, LedgerProof)
        return [
            ("Verdict", verdict(obj)),
            ("When (UTC)", when(obj.at)),
            ("Events", obj.events),
            ("Streams", obj.streams),
            ("Up to position", obj.position),
            ("Held against seals", obj.seals or "none"),
            ("Seconds", f"{obj.seconds:.1f}"),
            *([("First differences", in_lines(obj.first_differences))] if obj.differences else []),
            *([("Where to mend it", mended_at(obj.first_differences))] if obj.differences else []),
        ]

    def more_urls(self) -> list[URLPattern]:
        return [path("verify/", self.admin_site.admin_view(self.verify_view), name="accounts_ledgerproof_verify")]

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        return run(self, request, Verify(), back=reverse("admin:accounts_ledgerproof_changelist"))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm(Verify.permission)
        return {
            "tools": [{"label": Verify.button, "url": reverse("admin:accounts_ledgerproof_verify")}] if may else []
        }
