"""The proof of the books as a job."""

from collections.abc import Sequence

from accounts.verification import verify
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, JobFailed, Order, register_action


def _verify(order: Order, progress: Progress) -> Sequence[str]:
    progress.step("Reading every event twice: by stream, and by position")
    result = verify(progress)
    summary = f"{result.events} events in {result.streams} streams, {result.seconds} s."
    if result.differences:
        raise JobFailed(
            f"The books do NOT agree: {result.differences} differences. Read models are mended by a rebuild of the "
            "projection; events never are.",
            [summary, *result.first_differences],
        )
    return [f"The books agree: {summary}"]


VERIFY = JobAction(
    name="verify_ledger",
    title="Prove the books",
    permission="accounts.verify_ledger",
    run=_verify,
    if_interrupted="It changes nothing: start it anew.",
)


def register() -> None:
    register_action(VERIFY)
