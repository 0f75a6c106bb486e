"""Read models in trouble."""

import pytest

from accounts.projections.transactions import Transactions
from eventstore.events import StoredEvent


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A transactions projection that cannot take deposits of 6.66, until it is mended."""
    switch = {"mended": False}
    gather = Transactions.gather

    def choosy(self: Transactions, stored: StoredEvent, batch: list) -> None:
        if stored.data.get("amount") == 666 and not switch["mended"]:
            raise ValueError("cannot take 666")
        gather(self, stored, batch)

    monkeypatch.setattr(Transactions, "gather", choosy)
    monkeypatch.setattr(Transactions, "set_based", "")
    return switch
