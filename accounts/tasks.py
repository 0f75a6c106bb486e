"""Recurring work of the bank."""

import structlog
from celery import shared_task

from accounts.verification import verify

log = structlog.get_logger(__name__)


@shared_task(name="accounts.verify_ledger", soft_time_limit=3000, time_limit=3060)
def verify_ledger() -> None:
    """Nightly: proves the books and leaves a `LedgerProof`. Changes nothing else."""
    result = verify()
    if result.differences:
        log.error("books_do_not_agree", differences=result.differences, first=result.first_differences)
    else:
        log.info("books_agree", events=result.events, seconds=result.seconds)
