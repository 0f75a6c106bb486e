"""Every error code as the API answers it: its HTTP status, its title, and what the caller can do about it.

The statuses follow one rule. 400: the request is wrong, whatever the books say. 422: the request is right, and the
books say no. 409: another request got in the way. 404 also covers what is not in the caller's care.
"""

from typing import NamedTuple

from accounts.domain.errors import ErrorCode as E


class Kind(NamedTuple):
    """How one code is answered; `retry_after` in seconds, where sending the same request again may help."""

    status: int
    title: str
    remedy: str
    retry_after: int | None = None


KINDS: dict[E, Kind] = {
    E.VALIDATION_FAILED: Kind(400, "The request is not valid", "Mend the fields named in `errors`."),
    E.MALFORMED_REQUEST: Kind(400, "The request cannot be read", "Send what the documentation of the route shows."),
    E.UNKNOWN_FIELD: Kind(400, "A field is not known", "Check the spelling; nothing unknown is ignored."),
    E.PAYLOAD_TOO_LARGE: Kind(413, "The body is too large", "Send fewer commands in one request."),
    E.UNSUPPORTED_MEDIA_TYPE: Kind(
        415,
        "The body is of another type",
        "Send Content-Type: application/json, or application/x-ndjson to imports.",
    ),
    E.METHOD_NOT_ALLOWED: Kind(405, "The method is not offered here", "Use a method that the Allow header names."),
    E.NOT_ACCEPTABLE: Kind(406, "The answer is JSON only", "Accept application/json."),
    E.NOT_FOUND: Kind(404, "There is nothing here", "Check the path and the ids in it."),
    E.NOT_AUTHENTICATED: Kind(
        401, "No valid API key was sent", "Send Authorization: Bearer <key> with a working key."
    ),
    E.PERMISSION_DENIED: Kind(
        403, "The API key may not do this", "Ask the bank for a key with the scope that is named."
    ),
    E.IDEMPOTENCY_KEY_REQUIRED: Kind(
        400,
        "The Idempotency-Key header is missing or malformed",
        "Send a new unique key, such as a UUID, with each command, and the same one when you repeat it.",
    ),
    E.IDEMPOTENCY_KEY_REUSED: Kind(
        409, "The idempotency key belongs to another command", "Choose a new key for a new command."
    ),
    E.COMMAND_IN_PROGRESS: Kind(
        409, "The command is being executed", "Send the same request again after a moment.", retry_after=1
    ),
    E.ACCOUNT_NOT_FOUND: Kind(404, "There is no such account", "Check the account's id and whose care it is in."),
    E.ACCOUNT_NOT_YET_OPENED: Kind(404, "The account did not exist yet", "Ask for a moment after its opening."),
    E.TRANSACTION_NOT_FOUND: Kind(404, "There is no such transaction", "Check the transaction's id."),
    E.VERSION_MISMATCH: Kind(
        412, "The account has changed", "Read the account again, decide anew, and send its new version."
    ),
    E.ACCOUNT_FROZEN: Kind(422, "The account is frozen", "Bank staff must unfreeze it first."),
    E.ACCOUNT_NOT_FROZEN: Kind(422, "The account is not frozen", "There is nothing to undo."),
    E.ACCOUNT_CLOSED: Kind(422, "The account is closed", "Use another account: a closed one stays closed."),
    E.BALANCE_NOT_ZERO: Kind(
        422,
        "The account still holds or owes money",
        "Bring its `balance` to zero, and capture or release what is `held`, first.",
    ),
    E.CURRENCY_MISMATCH: Kind(422, "The currencies differ", "Send the amount in the account's currency."),
    E.SAME_ACCOUNT: Kind(422, "Both accounts are the same", "Name two different accounts."),
    E.INVALID_AMOUNT: Kind(
        400, "The amount is not valid", 'Send a decimal string above zero, such as "12.50", without exponent or sign.'
    ),
    E.AMOUNT_TOO_LARGE: Kind(400, "The amount is above the limit", "Send a smaller amount."),
    E.BALANCE_LIMIT_EXCEEDED: Kind(422, "The balance would pass the limit", "Use another account for the rest."),
    E.INSUFFICIENT_FUNDS: Kind(422, "Not enough money is available", "Send at most what `available` says."),
    E.OVERDRAFT_NOT_ALLOWED: Kind(422, "The product does not allow this overdraft", "Ask for a lower limit."),
    E.OVERDRAFT_IN_USE: Kind(
        422, "The overdraft is in use", "Bring the `balance`, less what is `held`, above the new limit first."
    ),
    E.ALREADY_REVERSED: Kind(422, "The transaction was reversed before", "`reversed_by` names the reversal."),
    E.NOT_REVERSIBLE: Kind(422, "The transaction cannot be reversed", "Post a movement of its own instead."),
    E.HOLD_NOT_FOUND: Kind(404, "There is no such hold", "Check the hold's id and whose care its account is in."),
    E.HOLD_NOT_OPEN: Kind(
        422, "The hold reserves nothing any more", "`hold_status` says what ended it; place a new one if need be."
    ),
    E.CAPTURE_EXCEEDS_HOLD: Kind(
        422, "The hold reserves less than that", "Capture at most what `held` says; withdraw the rest."
    ),
    E.RELEASE_EXCEEDS_HOLD: Kind(
        422, "The hold reserves less than that", "Release at most what `held` says; all of it if no amount is sent."
    ),
    E.WEBHOOK_NOT_FOUND: Kind(404, "There is no such webhook", "Check the webhook's id."),
    E.WEBHOOK_EXISTS: Kind(409, "There is a webhook with this URL", "Use it (`webhook_id`), or delete it first."),
    E.WEBHOOK_LIMIT_REACHED: Kind(422, "There are too many webhooks", "Delete one that you no longer need."),
    E.DELIVERY_NOT_FOUND: Kind(404, "There is no such delivery", "Check the id; old deliveries are removed."),
    E.IMPORT_NOT_FOUND: Kind(404, "There is no such import", "Check the key: it is there once lines were taken."),
    E.IMPORT_IN_PROGRESS: Kind(
        409, "The import is running", "Wait for the other request, or send this one again later.", retry_after=1
    ),
    E.IMPORT_DIFFERS: Kind(
        409, "The file is not the one that was begun", "Send the same file, or choose a new key for another one."
    ),
    E.IMPORT_POSITION_MISMATCH: Kind(
        409, "The import stands elsewhere", "Send what follows `position` with after=`position`, or the whole file."
    ),
    E.IMPORT_INCOMPLETE: Kind(
        400,
        "The import did not reach the end of the file",
        "Mend what `detail` names, then go on with the same key: after=`position` and the rest, or the whole file.",
    ),
    E.IMPORT_REFUSAL_LIMIT: Kind(
        422, "Too many lines were refused", "Mend the lines after `position` and send them under a new key."
    ),
    E.IMPORT_STOPPED: Kind(409, "The bank stopped the import", "Ask the bank; once it lets it, go on as before."),
    E.IMPORT_REACH_CHANGED: Kind(
        409,
        "The accounts that the client reaches have changed",
        "Ask the bank what it reaches now; then go on with the same key: after=`position` and the rest, or the whole "
        "file.",
    ),
    E.IMPORT_INTERRUPTED: Kind(
        503,
        "The bank could not go on with the import",
        "Go on later with the same key: after=`position` and the rest, or the whole file.",
        retry_after=1,
    ),
    E.IMPORT_OUTCOME_UNKNOWN: Kind(
        409,
        "It is not known how far the import came",
        "Look for the lines that `detail` names among the accounts' transactions; send those that are missing, and "
        "what follows them, under a new key.",
    ),
    E.BATCH_REJECTED: Kind(422, "The batch was not executed", "Mend the refused commands and send all of it again."),
    E.CONCURRENCY_CONFLICT: Kind(
        409, "Other commands were faster", "Nothing was done. Send the same request again.", retry_after=1
    ),
    E.TOO_MANY_REQUESTS: Kind(
        429,
        "Too many of your requests are in hand",
        "Nothing was done. Wait for answers before you send more; then send the same request again.",
        retry_after=1,
    ),
    E.OVERLOADED: Kind(
        503, "The bank is too busy", "Nothing was done. Send the same request again later.", retry_after=1
    ),
    E.BROKEN_HISTORY: Kind(
        500,
        "The books contradict themselves",
        "Nothing was done. Bank staff must mend the account first; then send the command again.",
    ),
    E.OUTCOME_UNKNOWN: Kind(
        503,
        "The outcome is not known",
        "Send the same request with the same Idempotency-Key while that is remembered: it is executed once at most, "
        "and you get its outcome. Later, look at the account's transactions first. Webhooks take no "
        "key: look at them first.",
        retry_after=1,
    ),
    E.INTERNAL_ERROR: Kind(500, "Something went wrong on our side", "Report the request_id to the bank."),
}
