"""Webhooks: messages about what happened, sent to addresses that API clients name.

This package knows neither events nor money. The floor above calls `queue.enqueue` in the transaction of what
happened; `manage.py deliver_webhooks` sends.

What is promised
- At least once. A delivery is tried until the receiver answers 2xx, WEBHOOK_MAX_ATTEMPTS times over about a day; then
  it is "failed", kept for WEBHOOK_RETENTION_DAYS, and can be asked for again. A receiver sees a delivery twice where
  its answer was lost or a sender died: it tells them apart by `Bankes-Event-Id`.
- In order within a lane (the messages of one webhook with the same key, such as an account): the next is sent when
  the one before was delivered or has failed. A delivery that is asked for again takes its old place: those of its
  lane that still wait go after it. Across lanes nothing is promised.
- Signed: see `signing`. Only to addresses that `addresses` takes.

What is not promised: exactly once, an order across accounts, and delivery to a webhook that is paused (by
WEBHOOK_PAUSE_AFTER failures in a row, by a 410, by staff): what it misses waits for it as long as deliveries are
kept.
"""
