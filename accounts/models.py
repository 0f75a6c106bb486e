"""Read models of accounts. Rows follow from events and can be rebuilt from them; nothing here is edited by hand.

All amounts are signed integer minor units of `currency`. Imports and interest, at the end, follow from nothing: they
remember how far each file was taken, what rates were set, and what is to be booked of them.
"""

from uuid import UUID

from django.db import models
from django.db.models.functions import Collate, Lower
from django.template.defaultfilters import pluralize

from accounts.domain.account import Status
from accounts.domain.holds import HoldStatus
from accounts.domain.interest import WHOLE, Kind
from accounts.domain.products import PRODUCTS


class Account(models.Model):
    """The state of an account at the head of its stream, written in the transaction of its events."""

    id = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    product = models.CharField(max_length=30, choices=[(p.code, p.name) for p in PRODUCTS.values()])
    custodian = models.CharField(max_length=100, help_text="The API client in whose care it is, or “bank”.")
    overdraft_limit = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=[(s.value, s.name.capitalize()) for s in Status])
    balance = models.BigIntegerField()
    held = models.BigIntegerField()
    version = models.BigIntegerField()
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "accounts"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("open_account", "Can open accounts"),
            ("deposit", "Can deposit"),
            ("withdraw", "Can withdraw"),
            ("transfer", "Can transfer"),
            ("change_overdraft_limit", "Can change overdraft limits"),
            ("freeze", "Can freeze accounts"),
            ("unfreeze", "Can unfreeze accounts"),
            ("close_account", "Can close accounts"),
            ("reverse_transaction", "Can reverse transactions"),
            ("place_hold", "Can place holds"),
            ("capture_hold", "Can capture holds"),
            ("release_hold", "Can release holds"),
        ]
        indexes = [
            models.Index(fields=["owner", "id"], name="accounts_owner_id"),
            models.Index(fields=["custodian", "id"], name="accounts_custodian_id"),
            models.Index(fields=["currency", "id"], name="accounts_currency_id"),
            models.Index(fields=["status", "id"], name="accounts_status_id"),
            models.Index(fields=["product", "id"], name="accounts_product_id"),
            models.Index(Collate(Lower("owner"), "C"), "id", name="accounts_owner_search"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(overdraft_limit__gte=0), name="accounts_overdraft_limit"),
            models.CheckConstraint(condition=models.Q(held__gte=0), name="accounts_held"),
        ]

    def __str__(self) -> str:
        return f"{self.owner} · {self.currency} · {str(self.id)[-12:]}"

    @property
    def available(self) -> int:
        """What may be spent now, in minor units."""
        return self.balance + self.overdraft_limit - self.held


class Reversal(models.Model):
    """Which transaction was undone by which: each at most once. Written in the transaction of its events."""

    transaction_id = models.UUIDField(primary_key=True)
    reversed_by = models.UUIDField(unique=True)

    class Meta:
        db_table = "reversals"
        default_permissions = ("view",)


class Hold(models.Model):
    """Money of an account that is reserved, as `accounts.domain.holds.Hold`. Written in the transaction of its
    events."""

    id = models.UUIDField(primary_key=True)
    account_id = models.UUIDField()
    version = models.BigIntegerField(help_text="The account's version that placing it made.")
    currency = models.CharField(max_length=3)
    contra = models.CharField(max_length=60, help_text="Where a capture is booked.")
    description = models.CharField(max_length=200)
    amount = models.BigIntegerField(help_text="What was reserved in all, extensions included.")
    captured = models.BigIntegerField(help_text="What of it is booked.")
    released = models.BigIntegerField(help_text="What of it was given up.")
    status = models.CharField(max_length=10, choices=[(s.value, s.name.capitalize()) for s in HoldStatus])
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "holds"
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["account_id", "-version"], name="holds_account"),
            models.Index(
                fields=["account_id", "-version"], condition=models.Q(status="open"), name="holds_open_account"
            ),
            models.Index(fields=["expires_at", "id"], condition=models.Q(status="open"), name="holds_open_expiry"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, captured__gte=0, released__gte=0), name="holds_amounts"
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", amount__gt=models.F("captured") + models.F("released"))
                | (~models.Q(status="open") & models.Q(amount=models.F("captured") + models.F("released"))),
                name="holds_open_while_reserving",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.id}"

    @property
    def held(self) -> int:
        """What it still reserves, in minor units."""
        return self.amount - self.captured - self.released


class Transaction(models.Model):
    """One posting of one account, as on a statement."""

    position = models.BigIntegerField(primary_key=True)
    account_id = models.UUIDField()
    version = models.BigIntegerField()
    transaction_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=40)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    balance = models.BigIntegerField(help_text="Ledger balance after the posting.")
    contra = models.CharField(max_length=60)
    description = models.CharField(max_length=200)
    value_date = models.DateField()
    recorded_at = models.DateTimeField()
    reverses = models.UUIDField(null=True)
    hold_id: UUID
    """Not a column: see `selectors.name_holds`."""

    class Meta:
        db_table = "transactions"
        ordering = ["-position"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["account_id", "version"], name="transactions_account_version")]

    def __str__(self) -> str:
        return f"{self.kind} {self.transaction_id}"


class JournalLine(models.Model):
    """One side of a posting; the lines of a transaction sum to zero per currency."""

    id = models.BigIntegerField(primary_key=True, help_text="Twice the event's position, plus one for the contra.")
    transaction_id = models.UUIDField(db_index=True)
    ledger_account = models.CharField(max_length=60)
    currency = models.CharField(max_length=3)
    amount = models.BigIntegerField()
    value_date = models.DateField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "journal_lines"
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["ledger_account", "id"], name="journal_lines_account_id")]

    def __str__(self) -> str:
        return f"{self.ledger_account} {self.amount} {self.currency}"


class DailyBalance(models.Model):
    """An account at the end of a day (UTC, by the moment of recording) on which money moved."""

    account_id = models.UUIDField()
    day = models.DateField()
    currency = models.CharField(max_length=3)
    closing_balance = models.BigIntegerField()
    credits = models.BigIntegerField(help_text="Sum of the day's credits, zero or more.")
    debits = models.BigIntegerField(help_text="Sum of the day's debits, zero or less.")
    postings = models.IntegerField()
    version = models.BigIntegerField(help_text="The account's version after the day's last posting.")

    class Meta:
        db_table = "daily_balances"
        ordering = ["-day"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["account_id", "day"], name="daily_balances_account_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day}"


class LedgerDay(models.Model):
    """What a ledger account moved on a day (UTC, by the moment of recording); customers' accounts are one."""

    day = models.DateField()
    currency = models.CharField(max_length=3)
    ledger_account = models.CharField(max_length=60, help_text="One of the bank's own, or “customers”.")
    credits = models.DecimalField(
        max_digits=38, decimal_places=0, help_text="Sum of the day's credits, zero or more: beyond a bigint, maybe."
    )
    debits = models.DecimalField(max_digits=38, decimal_places=0, help_text="Sum of the day's debits, zero or less.")
    lines = models.BigIntegerField(help_text="How many lines of the journal these are.")

    class Meta:
        db_table = "ledger_days"
        default_permissions = ("view",)
        verbose_name = "trial balance"
        verbose_name_plural = "trial balance"
        constraints = [
            models.UniqueConstraint(fields=["day", "currency", "ledger_account"], name="ledger_days_day_account")
        ]

    def __str__(self) -> str:
        return f"{self.ledger_account} {self.day}"


class LedgerProof(models.Model):
    """One run of the verification: what was proved, up to where, and what was found wrong."""

    at = models.DateTimeField(auto_now_add=True)
    position = models.BigIntegerField(help_text="Position of the last event that was verified.")
    events = models.BigIntegerField()
    streams = models.BigIntegerField()
    seconds = models.FloatField()
    seals = models.IntegerField(db_default=0, help_text="How many seals it was held against, too.")
    broken_seals = models.JSONField(
        default=list,
        db_default=models.Value([], output_field=models.JSONField()),
        help_text="Digests of seals that do not hold, or did not when they were last tried.",
    )
    differences = models.IntegerField()
    first_differences = models.JSONField(default=list)

    class Meta:
        db_table = "ledger_proofs"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("verify_ledger", "Can have the books proved")]

    def __str__(self) -> str:
        return f"Proof of {self.events} events: {self.verdict}"

    @property
    def verdict(self) -> str:
        return f"{self.differences} difference{pluralize(self.differences)}" if self.differences else "in balance"


class Import(models.Model):
    """A file of commands and how far it was taken: what `accounts.services.imports` needs to go on."""

    scope = models.CharField(max_length=100, help_text="Whose keys its commands have, as in idempotency records.")
    key = models.CharField(max_length=200)
    position = models.BigIntegerField(help_text="Lines that were taken, blank ones included; never again executed.")
    digest = models.BinaryField(help_text="SHA-256 over the digest before it and the line, for each line taken.")
    tried_to = models.BigIntegerField(
        default=0, db_default=0, help_text="Up to here lines beyond the position may be executed."
    )
    tried_at = models.DateTimeField(null=True, help_text="When the first of those beyond the position was begun.")
    executed = models.BigIntegerField(help_text="Lines whose command was executed.")
    refused = models.BigIntegerField()
    started_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, help_text="When the end of the file had been taken.")
    stopped_by = models.CharField(max_length=200, blank=True, help_text="Staff who stopped it; empty: nobody.")

    class Meta:
        db_table = "imports"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("manage_import", "Can stop imports and let them go on")]
        indexes = [
            models.Index(fields=["scope", "id"], name="imports_scope_id"),
            models.Index(fields=["updated_at"], name="imports_updated_at"),
        ]
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="imports_scope_key")]

    def __str__(self) -> str:
        return f"{self.key} of {self.scope}"


class ImportRefusal(models.Model):
    """A line of an import that was refused, and why: the members of `accounts.services.Refused`."""

    of = models.ForeignKey(Import, models.CASCADE, related_name="refusals", db_index=False)
    line = models.BigIntegerField(help_text="Its number in the file, from 1 on.")
    code = models.CharField(max_length=60)
    message = models.TextField()
    field = models.CharField(max_length=100, blank=True)
    extra = models.JSONField(default=dict)

    class Meta:
        db_table = "import_refusals"
        ordering = ["line"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["of", "line"], name="import_refusals_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"


class InterestRate(models.Model):
    """What accounts of a product earn and owe from a day on (UTC), in millionths a year. Of several from the same day
    the last one set counts. A rate is set for days to come alone, and never altered: so interest stays explained."""

    product = models.CharField(max_length=30, choices=[(p.code, p.name) for p in PRODUCTS.values()])
    currency = models.CharField(max_length=3)
    from_day = models.DateField()
    earned = models.IntegerField(help_text="For balances above zero.")
    owed = models.IntegerField(help_text="For balances below zero.")
    set_at = models.DateTimeField(auto_now_add=True)
    asked_by = models.CharField(max_length=200)
    approved_by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    approval_id = models.UUIDField(null=True, unique=True, help_text="The two persons' approval; none: demo data.")

    class Meta:
        db_table = "interest_rates"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("set_interestrate", "Can set interest rates")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(earned__gte=0, earned__lte=WHOLE, owed__gte=0, owed__lte=WHOLE),
                name="interest_rates_rates",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_product_display()} {self.currency} from {self.from_day}"


class InterestMonth(models.Model):
    """A month whose interest is reckoned: from then on what is due of it does not change."""

    month = models.DateField(primary_key=True, help_text="Its first day.")
    reckoned_at = models.DateTimeField()

    class Meta:
        db_table = "interest_months"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Interest(models.Model):
    """What an account earned or owes for a month, and what became of it."""

    class Status(models.TextChoices):
        DUE = "due", "Due"
        BOOKED = "booked", "Booked"
        LAPSED = "lapsed", "Lapsed"

    account_id = models.UUIDField()
    month = models.DateField(help_text="Its first day.")
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.name.capitalize()) for kind in Kind])
    currency = models.CharField(max_length=3)
    exact = models.DecimalField(
        max_digits=40, decimal_places=0, help_text="Minor units times 365,000,000, before rounding."
    )
    amount = models.BigIntegerField(help_text="What is booked of it, above zero.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DUE)
    tried_at = models.DateTimeField(null=True, help_text="Since when it may be in the books without our knowing.")
    transaction_id = models.UUIDField(null=True, unique=True)
    settled_at = models.DateTimeField(null=True, help_text="When it was booked, or lapsed.")
    code = models.CharField(max_length=60, blank=True, help_text="Why it was refused when it was last tried.")
    message = models.TextField(blank=True)

    class Meta:
        db_table = "interest"
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("book_interest", "Can have interest booked")]
        verbose_name_plural = "interest"
        indexes = [
            models.Index(fields=["month", "id"], name="interest_month_id"),
            models.Index(fields=["id"], condition=models.Q(status="due"), name="interest_due"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account_id", "month", "kind"], name="interest_account_month"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="interest_amount"),
            models.CheckConstraint(
                condition=models.Q(status="booked", transaction_id__isnull=False, settled_at__isnull=False)
                | models.Q(status="lapsed", transaction_id__isnull=True, settled_at__isnull=False)
                | models.Q(status="due", transaction_id__isnull=True, settled_at__isnull=True),
                name="interest_settled",
            ),
        ]

    def __str__(self) -> str:
        return f"interest {self.kind} in {self.month:%Y-%m}"

    @property
    def signed(self) -> int:
        """The amount as the account sees it."""
        return self.amount if self.kind == Kind.EARNED else -self.amount
