"""A small bank with some weeks of history, to look at and play with. The same every time: its seed is fixed."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from accounts.domain import commands as c
from accounts.domain.money import Money, parse_decimal, parse_money
from accounts.models import InterestRate
from accounts.services import Envelope, Executed, execute
from eventstore.events import Context, new_id

WEEKS = 6
SEED = 1907

PEOPLE = (
    ("Ada Lovelace", "EUR", "current", "500"),
    ("Grace Hopper", "EUR", "current", "1000"),
    ("Alan Turing", "EUR", "current", "0"),
    ("Katherine Johnson", "EUR", "savings", "0"),
    ("Edsger Dijkstra", "EUR", "current", "250"),
    ("Barbara Liskov", "EUR", "savings", "0"),
    ("Donald Knuth", "EUR", "current", "0"),
    ("Radia Perlman", "EUR", "current", "300"),
    ("Masatoshi Shima", "JPY", "current", "20000"),
    ("Izumi Suzuki", "JPY", "current", "0"),
    ("Noor Al Khalifa", "BHD", "current", "100"),
    ("Yusuf Kanoo", "BHD", "savings", "0"),
)
SALARY = {"EUR": "2850.00", "JPY": "310000", "BHD": "980.500"}
RATES = {
    ("savings", "EUR"): (20_000, 0),
    ("savings", "BHD"): (35_000, 0),
    ("current", "EUR"): (0, 95_000),
    ("current", "JPY"): (0, 40_000),
}
"""What is earned and owed, in millionths a year."""
SHOPS = ("Groceries", "Bakery", "Book shop", "Pharmacy", "Train ticket", "Coffee")
SPENDING = {"EUR": (350, 8000), "JPY": (400, 9000), "BHD": (1200, 30000)}
"""Least and most of one purchase, in minor units."""

CONTEXT = Context(actor="system:demo", source="command", reason="demo history")


def create_demo_bank(progress: Callable[[int, int], None], *, now: datetime | None = None) -> int:
    """Opens the demo accounts and lives through the weeks until today; returns how many commands were executed."""
    now = now or datetime.now(UTC)
    dice = random.Random(SEED)  # noqa: S311 - it draws shopping lists, not secrets
    first_day = (now - timedelta(weeks=WEEKS)).replace(hour=8, minute=0, second=0, microsecond=0)
    _set_rates(first_day)
    accounts = _open_accounts(first_day)
    executed = len(accounts)
    days = (now - first_day).days
    for number in range(1, days + 1):
        moment = first_day + timedelta(days=number)
        for command in _a_day(number, accounts, dice):
            moment += timedelta(minutes=dice.randrange(5, 40))
            executed += _run(command, min(moment, now))
        progress(number, days)
    return executed + _special_cases(accounts, now)


def _set_rates(since: datetime) -> None:
    InterestRate.objects.bulk_create(
        InterestRate(
            product=product,
            currency=currency,
            from_day=since.date(),
            earned=earned,
            owed=owed,
            asked_by=CONTEXT.actor,
            reason=CONTEXT.reason,
        )
        for (product, currency), (earned, owed) in RATES.items()
    )


def _open_accounts(at: datetime) -> dict[UUID, tuple[str, str]]:
    """(currency, product) by account."""
    opened: dict[UUID, tuple[str, str]] = {}
    for owner, currency, product, overdraft in PEOPLE:
        account_id = new_id()
        limit = parse_decimal(overdraft, currency)
        deposit = parse_decimal(SALARY[currency], currency) // 2
        _run(c.OpenAccount(account_id, owner, currency, product, limit, opening_deposit=deposit), at)
        opened[account_id] = (currency, product)
    return opened


def _a_day(number: int, accounts: dict[UUID, tuple[str, str]], dice: random.Random) -> Iterator[c.Command]:
    """Salaries on every 14th day, some shopping, now and then a transfer to someone with the same currency."""
    spenders = [account_id for account_id, (_, product) in accounts.items() if product == "current"]
    for account_id in spenders:
        currency, _ = accounts[account_id]
        if number % 14 == 1:
            yield c.Deposit(account_id, parse_money(SALARY[currency], currency), c.InternalAccount.WIRE, "Salary")
        if dice.random() < 0.6:
            amount = Money(dice.randint(*SPENDING[currency]), currency)
            yield c.Withdraw(account_id, amount, c.InternalAccount.CARDS, dice.choice(SHOPS))
        if dice.random() < 0.15:
            friends = [other for other in accounts if other != account_id and accounts[other][0] == currency]
            amount = Money(dice.randint(*SPENDING[currency]) * 2, currency)
            yield c.Transfer(account_id, dice.choice(friends), amount, "Shared costs")


def _special_cases(accounts: dict[UUID, tuple[str, str]], now: datetime) -> int:
    """One of each that staff meet: a reversed fee, a frozen account, a raised limit, a closed account, and holds."""
    ids = list(accounts)
    fee = execute(
        [Envelope(c.Withdraw(ids[0], parse_money("12.50", "EUR"), c.InternalAccount.FEES, "Card fee"), CONTEXT)],
        recorded_at=now,
    )[0]
    assert isinstance(fee, Executed)
    closing, hotel = new_id(), new_id()
    return sum(
        _run(command, now)
        for command in (
            c.ReverseTransaction(fee.transaction_id, "Fee charged in error"),
            c.FreezeAccount(ids[6]),
            c.ChangeOverdraftLimit(ids[4], Money(40000, "EUR")),
            c.OpenAccount(closing, "Charles Babbage", "EUR"),
            c.CloseAccount(closing),
            c.PlaceHold(ids[1], hotel, Money(18000, "EUR"), description="Hotel"),
            c.CaptureHold(hotel, Money(15650, "EUR"), description="Hotel, two nights"),
            c.PlaceHold(ids[1], new_id(), Money(30000, "EUR"), description="Hire car"),
            c.PlaceHold(ids[4], new_id(), Money(6000, "EUR"), description="Petrol station"),
        )
    )


def _run(command: c.Command, at: datetime) -> int:
    """1 when it was executed; a purchase that the account cannot pay is refused, as in life: 0."""
    return int(isinstance(execute([Envelope(command, CONTEXT)], recorded_at=at)[0], Executed))
