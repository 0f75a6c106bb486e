"""What a command would come to, shown before it is given: whose accounts it moves, and what each would hold then.

The look is tied to the command by its fingerprint, as an approval is by its digest: other contents are shown anew.
What makes it happen once is the form's idempotency key, which the look passes on.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html

from accounts.admin.cells import account_url, amount
from accounts.admin.commands.forms import CommandForm
from accounts.models import Account
from accounts.services import Envelope, Executed
from ops.admin.lists import Column
from ops.html import NOTHING, link


def was_seen(request: HttpRequest, envelope: Envelope) -> bool:
    """Whether the request comes from the page that showed what this very command would come to."""
    return request.POST.get("confirmed") == _fingerprint(envelope)


def what_would_be(form: CommandForm, envelope: Envelope, would: Executed) -> dict[str, Any]:
    """For the page: the accounts, the command's own first, and what was typed."""
    found = {
        str(row.pk): row for row in Account.objects.filter(pk__in=[each["id"] for each in would.result["accounts"]])
    }
    pairs = [(found[each["id"]], each) for each in would.result["accounts"]]
    return {
        "confirmed": _fingerprint(envelope),
        "headings": ACCOUNTS,
        "rows": [[(column, column.cell(pair)) for column in ACCOUNTS] for pair in pairs],
        "facts": [(field.label, _typed(field)) for field in form.visible_fields()],
    }


def _fingerprint(envelope: Envelope) -> str:
    assert envelope.key is not None, "every form has one"
    return envelope.key.fingerprint.hex()


def _typed(field: Any) -> object:
    """A field's value as its reader knows it: the name of a choice, in place of its code."""
    value = field.value()
    return dict(getattr(field.field, "choices", ())).get(value, value) or NOTHING


def _whose(pair: tuple[Account, dict[str, Any]]) -> object:
    account, _ = pair
    return format_html(
        '{}<br><span class="b-hash">{}</span>', link(account_url(account.pk), account.owner), account.pk
    )


def _change(pair: tuple[Account, dict[str, Any]]) -> object:
    """By its one posting; nothing where another one has come in since, before the account was read."""
    account, would = pair
    if would["version"] != account.version + 1:
        return NOTHING
    return amount(would["balance"] - account.balance, account.currency)


ACCOUNTS = (
    Column("Account", _whose),
    Column("Balance now", lambda pair: amount(pair[0].balance, pair[0].currency), numeric=True),
    Column("Change", _change, numeric=True),
    Column("Balance then", lambda pair: amount(pair[1]["balance"], pair[0].currency), numeric=True),
    Column("Available then", lambda pair: amount(pair[1]["available"], pair[0].currency), numeric=True),
)
