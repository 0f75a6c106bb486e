"""Recurring work of the bank."""

import structlog
from celery import shared_task

from accounts.domain.errors import Refusal
from accounts.services import expiry, import_retention, interest
from accounts.verification import verify
from eventstore.errors import OutcomeUnknown, StoreBusy
from ops.timeouts import within

log = structlog.get_logger(__name__)

EXPIRY_WITHIN = 500.0
CLEANUP_WITHIN = 500.0
"""Seconds; what is left over goes with the next run."""


@shared_task(
    name="accounts.verify_ledger",
    soft_time_limit=3000,
    time_limit=3060,
    autoretry_for=(StoreBusy,),
    default_retry_delay=600,
    max_retries=18,
)
def verify_ledger() -> None:
    """Nightly: proves the books and leaves a `LedgerProof`. Changes nothing else. While a read model is being rebuilt
    it is tried again every ten minutes, for three hours."""
    result = verify()
    if result.differences:
        log.error("books_do_not_agree", differences=result.differences, first=result.first_differences)
    else:
        log.info("books_agree", events=result.events, seconds=result.seconds, left_out=result.left_out)


@shared_task(name="accounts.expire_holds", soft_time_limit=600, time_limit=660)
def expire_holds() -> None:
    """Every minute: gives up the holds whose time is over. Safe to run twice, and beside itself."""
    with within(EXPIRY_WITHIN):
        done = expiry.expire_holds()
    if done.expired or done.left:
        log.info("holds_expired", expired=done.expired, left=done.left)


@shared_task(
    name="accounts.book_interest",
    soft_time_limit=3000,
    time_limit=3060,
    autoretry_for=(StoreBusy, OutcomeUnknown),
    default_retry_delay=600,
    max_retries=6,
)
def book_interest() -> None:
    """Nightly: reckons months that are over, and books what is due. Safe to run at any time, and twice."""
    try:
        done = interest.book_interest()
    except Refusal as refusal:
        log.warning("interest_not_booked", why=refusal.message)
    else:
        log.info(
            "interest_booked",
            months=[f"{month:%Y-%m}" for month in done.reckoned],
            booked=done.booked,
            left=done.left,
            lapsed=done.lapsed,
        )


@shared_task(name="accounts.cleanup", soft_time_limit=600, time_limit=660)
def cleanup() -> None:
    """Hourly: removes imports past IMPORT_RETENTION_DAYS. Safe to run twice."""
    with within(CLEANUP_WITHIN):
        done = import_retention.clean_up(False, lambda kind: None)
    log.info("cleanup", **done.removed, unfinished=done.unfinished)
