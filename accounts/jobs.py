"""What may take long: proofs of the books and of one account's whole hash chain, and booking interest."""

from collections.abc import Sequence
from uuid import UUID

from accounts.chain import WholeChain, head_agreements, hold_agreements, one_instant, row_agreements, whole_chain
from accounts.domain.errors import Refusal
from accounts.explaining import FOLD_ERRORS
from accounts.services.interest import book_interest
from accounts.verification import verify
from eventstore.errors import EventStoreError, StoreBusy
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, JobFailed, Order, register_action


def _verify(order: Order, progress: Progress) -> Sequence[str]:
    progress.step("Reading every event twice: by stream, and by position")
    try:
        result = verify(progress)
    except StoreBusy as busy:
        raise JobFailed(f"Nothing was verified: {busy}.") from busy
    summary = f"{result.events} events in {result.streams} streams, {result.seconds} s."
    if result.differences:
        raise JobFailed(
            f"The books do NOT agree: {result.differences} differences. Read models are mended by a rebuild of the "
            "projection; events never are.",
            [summary, *result.first_differences, *result.left_out],
        )
    return [f"The books agree: {summary}", *result.left_out]


VERIFY = JobAction(
    name="verify_ledger",
    title="Prove the books",
    permission="accounts.verify_ledger",
    run=_verify,
    if_interrupted="It changes nothing: start it anew.",
)


TOLD = 100
"""Broken links that a report names, and wrong values."""


def _verify_chain(order: Order, progress: Progress) -> Sequence[str]:
    """{"account": id}. As of one instant, over a stream of any length."""
    account_id = UUID(order.input["account"])
    with one_instant():
        progress.step("Recomputing each link from the first event on")
        whole = whole_chain(account_id, TOLD, no_limit=True, progress=progress)
        progress.step("Folding every event, and comparing the account and its holds with that")
        wrong = [*_broken(whole), *_disagreements(account_id)]
    summary = f"{whole.links} links were recomputed."
    if wrong:
        raise JobFailed(
            "The account does NOT agree with its events: freeze it, and have somebody look.", [summary, *wrong]
        )
    return [f"{summary} All hold, and the account and its holds are what its events make."]


def _broken(whole: WholeChain) -> list[str]:
    told = [link.trouble for link in whole.troubles]
    if whole.broken > len(told):
        told.append(f"{whole.broken - len(told)} further links are broken.")
    if whole.cut_off:
        told.append(f"The end is missing: the head of the stream knows of {whole.cut_off} more events.")
    return told


def _disagreements(account_id: UUID) -> list[str]:
    found = head_agreements(account_id)
    cannot = []
    try:
        found += row_agreements(account_id, use_snapshots=False)
        found += hold_agreements(account_id)
    except FOLD_ERRORS as error:
        cannot = [f"The account cannot be compared: its events cannot be folded ({error})."]
    wrong = [each for each in found if not each.agrees]
    told = [f"{each.what} is {each.says}; the events make {each.events_make}." for each in wrong[:TOLD]]
    if len(wrong) > len(told):
        told.append(f"{len(wrong) - len(told)} further values are not what the events make.")
    return told + cannot


VERIFY_CHAIN = JobAction(
    name="verify_chain",
    title="Check all links of an account",
    permission="accounts.verify_ledger",
    run=_verify_chain,
    if_interrupted="It changes nothing: start it anew.",
)


def _book_interest(order: Order, progress: Progress) -> Sequence[str]:
    progress.step("Reckoning the months that are over, and booking what is due")
    try:
        return book_interest(progress.advance).told()
    except Refusal as refusal:
        raise JobFailed(refusal.message) from refusal
    except EventStoreError as error:
        raise JobFailed(f"It was not finished: {error}. Start it anew: nothing is booked twice.") from error


BOOK_INTEREST = JobAction(
    name="book_interest",
    title="Book interest",
    permission="accounts.book_interest",
    run=_book_interest,
    if_interrupted="Start it anew: nothing is booked twice.",
)


def register() -> None:
    register_action(VERIFY)
    register_action(BOOK_INTEREST)
    register_action(VERIFY_CHAIN)
