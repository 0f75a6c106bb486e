"""What a form is about: an account, a transaction, or nothing yet."""

from dataclasses import dataclass
from uuid import UUID

from accounts.models import Account


@dataclass(frozen=True, slots=True)
class Subject:
    """`account` is the one whose version the command is checked against: the first that it touches."""

    account: Account | None = None
    transaction_id: UUID | None = None

    @property
    def label(self) -> str:
        """As audit entries name it."""
        if self.transaction_id is not None:
            return f"transaction:{self.transaction_id}"
        return f"account:{self.account.pk if self.account else 'new'}"

    def read_again(self) -> "Subject":
        """The same with the account as it is now."""
        account = Account.objects.filter(pk=self.account.pk).first() if self.account else None
        return Subject(account or self.account, self.transaction_id)
