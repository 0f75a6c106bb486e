"""Events of an account in the words of the trade."""

from dataclasses import dataclass
from datetime import datetime

from accounts.admin.cells import amount, hold_link, ledger_account, transaction_link
from accounts.domain.events import POSTING_TYPES
from accounts.domain.money import format_minor
from eventstore.models import Event
from ops.html import link, page_of, when

SENTENCES = {
    "AccountOpened": "Account opened",
    "Deposited": "Deposit",
    "Withdrawn": "Withdrawal",
    "TransferSent": "Transfer sent",
    "TransferReceived": "Transfer received",
    "PostingReversed": "Reversal",
    "HoldPlaced": "Hold placed",
    "HoldCaptured": "Hold captured",
    "HoldExtended": "Hold extended",
    "HoldReleased": "Hold released",
    "HoldExpired": "Hold expired",
    "OverdraftLimitChanged": "Overdraft limit changed",
    "AccountFrozen": "Account frozen",
    "AccountUnfrozen": "Account unfrozen",
    "AccountClosed": "Account closed",
}
ICONS = {
    "AccountOpened": "add_circle",
    "Deposited": "south_west",
    "Withdrawn": "north_east",
    "TransferSent": "arrow_outward",
    "TransferReceived": "call_received",
    "PostingReversed": "undo",
    "HoldPlaced": "hourglass_top",
    "HoldCaptured": "hourglass_bottom",
    "HoldExtended": "more_time",
    "HoldReleased": "hourglass_disabled",
    "HoldExpired": "timer_off",
    "OverdraftLimitChanged": "tune",
    "AccountFrozen": "ac_unit",
    "AccountUnfrozen": "sunny",
    "AccountClosed": "lock",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, ready for the page. `title` links to the event where the reader may see it."""

    version: int
    title: object
    icon: str
    when: object
    amount: object
    balance: object
    notes: list[tuple[str, object]]


def in_words(event_type: str) -> str:
    """What has happened, for people; a type that is new here is told by its name."""
    return SENTENCES.get(event_type, event_type)


def timeline_entry(event: Event, currency: str, *, linked: bool) -> Entry:
    """`currency` is the account's: limits are in it."""
    sentence = in_words(event.event_type)
    is_posting = event.event_type in POSTING_TYPES and event.data.get("amount") not in (None, 0)
    return Entry(
        version=event.version,
        title=link(page_of("eventstore.event", event.position), sentence) if linked else sentence,
        icon=ICONS.get(event.event_type, "circle"),
        when=when(event.timestamp),
        amount=amount(event.data["amount"], event.data["currency"]) if is_posting else "",
        balance=amount(event.data["balance"], event.data["currency"]) if is_posting else "",
        notes=[(name, value) for name, value in _notes(event, currency) if value],
    )


def _notes(event: Event, currency: str) -> list[tuple[str, object]]:
    data, metadata = event.data, event.metadata
    notes: list[tuple[str, object]] = []
    if event.event_type == "OverdraftLimitChanged":
        before, after = format_minor(data["previous"], currency), format_minor(data["overdraft_limit"], currency)
        notes.append(("limit", f"{before} → {after} {currency}"))
    if event.event_type in POSTING_TYPES and data.get("amount"):
        notes.append(("contra", ledger_account(data["contra"])))
        notes.append(("description", data.get("description")))
    if event.event_type in ("HoldPlaced", "HoldExtended"):
        notes.append(("amount", f"{format_minor(data['amount'], currency)} {currency}" if data["amount"] else ""))
        notes.append(("until", when(datetime.fromisoformat(data["expires_at"]))))
        notes.append(("description", data.get("description")))
    given_up = data["amount"] if event.event_type in ("HoldReleased", "HoldExpired") else data.get("released")
    if given_up:
        notes.append(("given up", f"{format_minor(given_up, currency)} {currency}"))
    if "hold_id" in data:
        notes.append(("hold", hold_link(data["hold_id"])))
    if data.get("reverses"):
        notes.append(("reverses", transaction_link(data["reverses"])))
    notes.append(("by", metadata.get("actor")))
    notes.append(("why", metadata.get("reason")))
    notes.append(("transaction", transaction_link(event.command_id)))
    return notes
