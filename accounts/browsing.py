"""The cache of accounts, for the page that shows what it holds, and filling it as a job."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from accounts.cache import AccountView, accounts_cache, load_many, popularity
from accounts.domain.money import Money
from accounts.warming import warm
from ops.access.permissions import RESET_POOL
from ops.cache.registry import Browsable, register_browsable
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, JobFailed, Order, register_action


def shown(view: AccountView) -> Mapping[str, object]:
    """What people see of a cached account."""

    def money(minor: int) -> str:
        return str(Money(minor, view.currency))

    return {
        "Owner": view.owner,
        "Status": view.status.value,
        "Balance": money(view.balance),
        "Held": money(view.held),
        "Overdraft limit": money(view.overdraft_limit),
        "Product": view.product,
        "Custodian": view.custodian or "–",
        "Changed (UTC)": f"{view.updated_at:%Y-%m-%d %H:%M:%S}",
    }


def _warm(order: Order, progress: Progress) -> Sequence[str]:
    progress.step("Reading accounts, and storing them in Redis")
    done = warm(order.input["limit"], progress=progress.advance)
    report = [
        f"{done.warmed} accounts were stored in {done.seconds:.1f} s: of {done.most_used} most used and "
        f"{done.recently_changed} changed lately."
    ]
    if done.missing:
        report.append(f"{done.missing} had been counted as used, and do not exist.")
    if done.failed:
        raise JobFailed(
            f"Redis did not take {done.failed} accounts: see that it answers, then ask again. Reads are right all "
            "the same.",
            report,
        )
    return report


WARM = JobAction(
    name="warm_cache",
    title="Warm the cache",
    permission=RESET_POOL,
    run=_warm,
    if_interrupted="What it stored stays, and is right. Start it anew for the rest.",
)


def register() -> None:
    register_action(WARM)
    register_browsable(
        Browsable(
            name="account",
            key_label="Account id",
            cache=accounts_cache,
            source=load_many,
            most_used=lambda limit: popularity().uses(limit),
            parse=lambda text: str(UUID(text.strip())),
            shown=shown,
            page="accounts.account",
            warming=WARM.name,
        )
    )
