"""What staff can do about a refusal: one sentence for each code that the forms can meet."""

from accounts.domain.errors import ErrorCode

NOTHING_DONE = "Nothing was done."

ADVICE = {
    ErrorCode.VERSION_MISMATCH: "It was changed meanwhile. Look at its new state, then decide anew.",
    ErrorCode.INSUFFICIENT_FUNDS: "Choose a smaller amount, or have the overdraft limit raised.",
    ErrorCode.ACCOUNT_FROZEN: "An operator can unfreeze it.",
    ErrorCode.ACCOUNT_CLOSED: "Choose another account: a closed one stays closed.",
    ErrorCode.ACCOUNT_NOT_FROZEN: "There is nothing to undo.",
    ErrorCode.ACCOUNT_NOT_FOUND: "Check the account id.",
    ErrorCode.CURRENCY_MISMATCH: "Choose an account of the same currency.",
    ErrorCode.BALANCE_NOT_ZERO: "Withdraw or transfer what is left, or have the debt paid; release what is held.",
    ErrorCode.OVERDRAFT_IN_USE: "Choose a limit that covers what is owed and what is held.",
    ErrorCode.ALREADY_REVERSED: "A transaction is reversed once: post a new movement where one is needed.",
    ErrorCode.HOLD_NOT_OPEN: "There is nothing left to do: its page says what became of it.",
    ErrorCode.CAPTURE_EXCEEDS_HOLD: "Capture at most what is held, and withdraw the rest.",
    ErrorCode.RELEASE_EXCEEDS_HOLD: "Release at most what is held.",
    ErrorCode.CONCURRENCY_CONFLICT: "Send the form again.",
    ErrorCode.COMMAND_IN_PROGRESS: "Wait a moment, then send the form again: it is done at most once.",
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "This form had been sent with other contents. Send it again if you mean it.",
}

BUSY = (
    "The bank is busy: a lock or a connection was not to be had in time. Nothing was done. Send the form again in a "
    "moment."
)
UNKNOWN = (
    "The connection broke, and it is not known whether the command was executed. Send this form again as it is: it "
    "is done at most once, and if it had been done, you are shown the first result."
)

FIELD_OF_CODE = {ErrorCode.INSUFFICIENT_FUNDS: "amount"}
"""Where a refusal that names no field belongs on a form that has this one."""
