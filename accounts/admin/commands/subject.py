"""What a form is about: an account, a transaction, a hold, or nothing yet."""

from dataclasses import dataclass, replace
from uuid import UUID

from accounts.models import Account, Hold


@dataclass(frozen=True, slots=True)
class Subject:
    """`account` is the one whose version the command is checked against: the first that it touches."""

    account: Account | None = None
    transaction_id: UUID | None = None
    hold: Hold | None = None

    @property
    def label(self) -> str:
        """As audit entries name it."""
        if self.transaction_id is not None:
            return f"transaction:{self.transaction_id}"
        if self.hold is not None:
            return f"hold:{self.hold.pk}"
        return f"account:{self.account.pk if self.account else 'new'}"

    def read_again(self) -> "Subject":
        """The same with the account and the hold as they are now."""
        account = Account.objects.filter(pk=self.account.pk).first() if self.account else None
        hold = Hold.objects.filter(pk=self.hold.pk).first() if self.hold else None
        return replace(self, account=account or self.account, hold=hold or self.hold)
