"""The page of the cache: what Redis holds of an account beside PostgreSQL, evicting and warming."""

import re
import threading
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from django.test import Client
from django_redis import get_redis_connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import cache, warming
from accounts.cache import accounts_cache, popularity
from accounts.models import Account
from ops.breaker import CircuitBreaker
from ops.cache import emptying
from ops.cache.shared import OUTAGES
from ops.jobs import asking, running
from ops.models import AuditEntry, Job, Viewing
from tests.bank import Bank
from tests.ops.admin.dialog import confirm, page_text, preview, worked
from tests.staff import make_staff, signed_in
from tests.threads import together

PAGE = "/admin/ops/cacheaccess/"
EVICT, WARM = f"{PAGE}account/evict/", f"{PAGE}account/warm/"


@pytest.fixture
def client() -> redis.Redis:
    connected: redis.Redis = get_redis_connection("tiered")
    return connected


@pytest.fixture(autouse=True)
def cold(db: None, client: redis.Redis) -> Iterator[None]:
    def empty() -> None:
        accounts_cache().clear_local()
        popularity().flush()
        if left := [*client.scan_iter(match="account:*"), *client.scan_iter(match="account-uses")]:
            client.delete(*left)

    empty()
    yield
    empty()


@pytest.fixture
def operator(bank: Bank) -> Client:
    return signed_in(make_staff("operator"))


@pytest.fixture
def ann(bank: Bank) -> UUID:
    """An account that was read twice, and is cached in both tiers."""
    account_id = bank.open("10.00", owner="Ann Cached")
    for _ in range(2):
        cache.account(account_id, at_least=1)
    return account_id


def cells_of(text: str, key: UUID) -> list[str]:
    """Of the key's row in the list."""
    body = text.split('aria-label="Keys"')[1].split("</section>")[0]
    [row] = [row for row in re.findall(r"<tr>(.*?)</tr>", body, re.S) if f"?key={key}" in row]
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]


def look(browser: Client, key: UUID) -> str:
    return page_text(browser.get(PAGE, {"key": str(key)}))


def state(browser: Client, key: UUID) -> str:
    return cells_of(look(browser, key), key)[1]


def test_the_accounts_used_most_are_shown_with_both_tiers_beside_postgresql(operator: Client, ann: UUID) -> None:
    popularity().flush()
    text = page_text(operator.get(PAGE))

    _, verdict, in_redis, in_postgresql, pointer_lives, document_lives, size, here, uses, _ = cells_of(text, ann)
    assert (verdict, in_redis, in_postgresql, uses) == ("the same", "2", "2", "2")
    assert 0 < int(pointer_lives.split()[0].replace(",", "")) <= 600
    assert 600 < int(document_lives.split()[0].replace(",", "")) <= 3600
    assert int(size) > 100
    assert here == "2"
    assert "Memory used" in text
    for shown in ("shared", "here"):
        assert cells_of(page_text(operator.get(PAGE, {"show": shown})), ann)[1] == "the same"
    [noted] = Viewing.objects.filter(what="ops.cacheaccess", filters="")
    assert noted.rows == 1, "who looked at cached accounts in bulk is on record"


def test_a_difference_is_seen_for_what_it_is(
    operator: Client, bank: Bank, ann: UUID, client: redis.Redis, sweeper: psycopg.Connection
) -> None:
    bank.deposit(ann, "1.00")
    assert state(operator, ann) == "1 behind"
    text = look(operator, ann)
    assert _line(text, "Balance") == ("Balance", "10.00 EUR", "11.00 EUR")
    assert "Reads ask PostgreSQL for the version, and are right" in text

    cache.account(ann, at_least=3)
    assert state(operator, ann) == "the same"
    Account.objects.filter(pk=ann).update(owner="Mended")
    assert state(operator, ann) == "differs"
    assert _line(look(operator, ann), "Owner") == ("Owner", "Ann Cached", "Mended")

    client.set(f"account:{ann}:v3", b"{broken")
    assert state(operator, ann) == "cannot be read"
    client.set(f"account:{ann}", 9)
    assert state(operator, ann) == "ahead of PostgreSQL"
    client.set(f"account:{ann}", 3)
    client.delete(f"account:{ann}:v3")
    assert state(operator, ann) == "pointer without document"
    stranger = uuid4()
    assert state(operator, stranger) == "unknown"
    client.set(f"account:{stranger}", 4)
    assert state(operator, stranger) == "not in PostgreSQL"
    client.set(f"account:{ann}", b"<script>")
    assert state(operator, ann) == "cannot be read"
    assert client.get(f"account:{ann}") == b"<script>", "to look removes nothing"


def _line(text: str, name: str) -> tuple[str, str, str]:
    """Of the comparison: field, in Redis, in PostgreSQL."""
    [row] = [row for row in re.findall(r"<tr>(.*?)</tr>", text, re.S) if f"<span>{name}</span>" in row]
    cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
    return cells[0], cells[1], cells[3]


def test_to_look_counts_as_no_read(operator: Client, ann: UUID) -> None:
    before = accounts_cache().stats()
    for query in ({}, {"key": str(ann)}, {"show": "shared"}, {"show": "here"}):
        operator.get(PAGE, query)
    after = accounts_cache().stats()
    assert [(after[tier]["hits"], after[tier]["misses"]) for tier in ("l1", "l2")] == [
        (before[tier]["hits"], before[tier]["misses"]) for tier in ("l1", "l2")
    ]


def test_one_is_evicted_and_the_next_read_is_right(
    operator: Client, bank: Bank, ann: UUID, client: redis.Redis
) -> None:
    bob = bank.open("5.00")
    cache.account(bob, at_least=1)
    url = f"{EVICT}?on={ann}"
    text, note = preview(operator, url)
    assert f"{ann}: version 2 in Redis, version 2 in this process" in text
    assert client.get(f"account:{ann}") == b"2", "a preview changes nothing"

    assert f"{ann}: evicted." in page_text(confirm(operator, url, note))
    assert client.exists(f"account:{ann}", f"account:{ann}:v2") == 0
    assert accounts_cache().peek(str(ann)) is None
    assert client.get(f"account:{bob}") == b"2"
    found = cache.account(ann)
    assert found is not None
    assert (found.version, found.balance) == (2, 1000)
    entry = AuditEntry.objects.get(action="evict_cached")
    assert (entry.actor, entry.subject, entry.reason) == ("staff:operator", f"account:{ann}", "the feed stood still")
    assert Job.objects.get(action="evict_cached").report == [f"{ann}: evicted."]


def test_those_selected_are_evicted_and_what_is_not_held_is_not_listed(
    operator: Client, bank: Bank, ann: UUID, client: redis.Redis
) -> None:
    quiet = bank.open("1.00")
    url = f"{EVICT}?on={ann}&on={quiet}"
    text, note = preview(operator, url)
    assert f"{quiet}: " not in text
    confirm(operator, url, note)
    assert Job.objects.get(action="evict_cached").report == [f"{ann}: evicted."]
    assert "There is nothing to do" in preview(operator, url)[0]
    assert operator.get(EVICT).headers["Location"] == PAGE, "nothing was selected"
    assert operator.get(f"{EVICT}?on=nonsense").headers["Location"] == PAGE


def test_everything_is_evicted_by_a_job_and_the_memories_of_processes_with_it(
    operator: Client, bank: Bank, ann: UUID, client: redis.Redis
) -> None:
    client.set("other:1", "of somebody else")
    url = f"{EVICT}?on=all"
    text, note = preview(operator, url)
    assert "2 keys are removed from Redis." in text
    job = worked(confirm(operator, url, note))

    assert job.state == "done"
    assert job.report[0] == "2 keys were removed from Redis."
    assert re.fullmatch(r"(\d+) of \1 processes were emptied.", job.report[1]), (
        "this one, and a server where one runs"
    )
    assert list(client.scan_iter(match="account:*")) == []
    assert client.get("other:1") == b"of somebody else"
    client.delete("other:1")
    assert accounts_cache().stats()["l1"]["size"] == 0
    assert AuditEntry.objects.get(action="evict_cache").subject == "cache:account"
    found = cache.account(ann)
    assert found is not None
    assert found.balance == 1000


def test_the_cache_is_warmed_by_a_job_with_the_accounts_used_most(
    operator: Client, bank: Bank, client: redis.Redis
) -> None:
    first, second = bank.open("1.00"), bank.open("2.00")
    cache.account(first)
    text, note = preview(operator, WARM, limit="1")
    assert "At most 1 documents" in text
    assert client.get(f"account:{first}") is None
    job = worked(confirm(operator, WARM, note))

    assert job.state == "done"
    assert "1 accounts were stored" in job.report[0]
    assert (client.get(f"account:{first}"), client.get(f"account:{second}")) == (b"2", None)
    assert AuditEntry.objects.filter(action="start_warm_cache", actor="staff:operator").count() == 1
    for wrong in ("0", "many", "1000001"):
        assert "Write " in preview(operator, WARM, limit=wrong)[0]


def test_while_redis_is_away_the_page_says_so_and_nothing_is_evicted(
    operator: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = preview(operator, f"{EVICT}?on={ann}")[1]
    shared = accounts_cache().shared
    nowhere = redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(shared, "_client", lambda: nowhere)
    monkeypatch.setattr(shared, "breaker", CircuitBreaker("away", on=OUTAGES, probe=nowhere.ping))

    text = page_text(operator.get(PAGE))
    assert "Redis does not answer" in text
    assert "Memory of the processes" in text, "the rest is shown"
    answer = operator.post(f"{EVICT}?on={ann}", {"confirmed": note}, follow=True)
    assert "Nothing was evicted: Redis does not answer" in page_text(answer)
    assert accounts_cache().peek(str(ann)) is not None
    for url in (f"{EVICT}?on={ann}", f"{EVICT}?on=all"):
        assert "Nothing was evicted: Redis does not answer" in preview(operator, url)[0]
    job = asking.make(
        "evict_cache", subject="cache:account", input={"cache": "account"}, reason="a test", actor="staff:operator"
    )
    assert running.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error[:21]) == ("failed", "Redis does not answer"), "one that was asked for before"


def test_evicting_again_and_again_makes_no_read_wrong(bank: Bank, client: redis.Redis) -> None:
    """One thread writes, one evicts key by key and everything, one warms; readers never see less than they know."""
    ann = bank.open("1.00")
    acknowledged, stop = [2], threading.Event()
    wrong: list[tuple[int, int]] = []

    def write_until_done() -> None:
        try:
            for _ in range(80):
                bank.deposit(ann, "0.01")
                acknowledged[0] += 1
        finally:
            stop.set()

    def evict() -> None:
        while not stop.wait(0.02):  # so that there is something to evict
            accounts_cache().evict(str(ann))
            emptying.empty_shared(accounts_cache().shared, lambda removed: None)
            accounts_cache().clear_local()

    def warm() -> None:
        while not stop.wait(0.005):
            warming.warm(1)

    def read() -> None:
        while not stop.is_set():
            for at_least in (None, acknowledged[0]):
                known = acknowledged[0] if at_least is None else at_least
                found = cache.account(ann, at_least=at_least)
                if found is None or found.version < known or found.balance != 100 + found.version - 2:
                    wrong.append((known, found.version if found else 0))

    together([write_until_done, evict, warm, read, read])
    assert wrong == []


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_changes_nothing_and_is_recorded(role: str, bank: Bank, ann: UUID, client: redis.Redis) -> None:
    staff = signed_in(make_staff(role))
    for url in (f"{EVICT}?on={ann}", f"{EVICT}?on=all", WARM):
        assert staff.get(url).status_code == 403
        assert staff.post(url, {"reason": "x", "limit": "1"}).status_code == 403
        assert staff.post(url, {"confirmed": "x"}).status_code == 403
    assert client.get(f"account:{ann}") == b"2"
    assert not Job.objects.exists()
    assert AuditEntry.objects.filter(outcome="refused", actor=f"staff:{role}").count() == 6
    seen = staff.get(PAGE)
    assert seen.status_code == (200 if role == "auditor" else 403)
    if role == "auditor":
        assert "/evict/" not in page_text(seen)
        assert 'type="checkbox" class="b-pick"' not in page_text(seen)


def test_what_is_no_id_is_refused_with_the_remedy_and_an_empty_cache_says_what_to_do(operator: Client) -> None:
    assert "Write the whole id" in page_text(operator.get(PAGE, {"key": "x' OR 1"}))
    assert "Nothing is cached here" in page_text(operator.get(PAGE))
    assert operator.get(f"{PAGE}nonsense/warm/").status_code == 404
