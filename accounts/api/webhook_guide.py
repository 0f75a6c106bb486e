"""What the documentation of webhooks tells the people who write a receiver."""

from ops.webhooks.signing import VERIFY

GUIDE = f"""\
Names an address of yours and the types of events that it shall be told of, on accounts that you may read. From
then on each such event is sent to it as a `POST` with this JSON body, which shows the event as
`GET /accounts/{{id}}/events` does:

```json
{{"id": "...", "type": "Deposited", "version": 7, "data": {{"amount": "12.50", "currency": "EUR", "...": "..."}},
 "transaction_id": "...", "occurred_at": "2026-01-31T12:00:00.000000Z", "account_id": "..."}}
```

and the headers `Bankes-Event-Id`, `Bankes-Delivery-Id` and `Bankes-Signature: t=<seconds since 1970>,v1=<hex>`.

**Check the signature**, an HMAC-SHA256 over the time, a point and the raw body, with the secret that this
operation answers with, once. While replaced secrets still count there are several `v1`. In Python:

```python
{VERIFY}```

**Answer 2xx** within some seconds, before you do any work. Anything else (redirects are not followed) is tried
again, ever less often, over about a day; then the delivery is `failed`: it stays listed for some weeks, and you
can ask for it again. An address that keeps failing is paused, and at once if it answers 410; what comes
meanwhile waits until you resume it, as long as deliveries are kept.

**What is promised**: each event at least once, so remember `Bankes-Event-Id` and skip what you have seen.
Within an account by `version`: the next is sent after the one before was taken, or has failed for good. Across
accounts there is no order. A delivery that you ask for again may come after later ones.

**It goes on until you delete it**, also where the key that made it was revoked or has expired.

The address must be `https://` in the public Internet, without user name and password.
"""
