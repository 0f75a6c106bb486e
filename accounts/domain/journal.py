"""Double entry: the lines that a posting writes into the journal."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from accounts.domain.events import Posting

ACCOUNT_PREFIX = "account:"


class Line(NamedTuple):
    """One side of a posting: `amount` in signed minor units, credit to the ledger account being positive."""

    ledger_account: str
    currency: str
    amount: int


def journal_lines(account_id: UUID, posting: Posting) -> list[Line]:
    """None where no money moved; else the posting's own line and, where its contra is an internal account, the other.

    The other side of a transfer is the posting of the other account in the same transaction.
    """
    if not posting.amount:
        return []
    lines = [Line(f"{ACCOUNT_PREFIX}{account_id}", posting.currency, posting.amount)]
    if not posting.contra.startswith(ACCOUNT_PREFIX):
        lines.append(Line(posting.contra, posting.currency, -posting.amount))
    return lines


def imbalances(postings: Iterable[Posting]) -> dict[str, int]:
    """Sums per currency of the lines that postings write, where they are not zero: empty when these balance.

    A posting against an internal account balances by itself; one against an account needs another posting.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    for posting in postings:
        if posting.contra.startswith(ACCOUNT_PREFIX):
            sums[posting.currency] += posting.amount
    return {currency: total for currency, total in sums.items() if total}
