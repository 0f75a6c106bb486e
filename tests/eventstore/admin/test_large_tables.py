"""The event list costs the same on a table of any size: index scans, a page of rows, a fixed number of queries."""

import json
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.plans import rows_read
from tests.staff import make_staff, signed_in

EVENTS = 20_000
STREAMS = 200
PAGE = 50
LIST = "/admin/eventstore/event/"
STREAM = UUID(int=7)
COMMAND = UUID(int=10_000)


@pytest.fixture
def many_events(db: None, sweeper: psycopg.Connection) -> None:
    """Twenty thousand events over two hundred streams, one a second; every thousandth is a rare one."""
    sweeper.execute(
        """
        INSERT INTO events (position, aggregate_id, aggregate_type, version, event_id, event_type, schema_version,
                            command_id, data, metadata, timestamp, hash)
        SELECT n, lpad(to_hex(n %% %s), 32, '0')::uuid, 'account', n / %s + 1, gen_random_uuid(),
               CASE WHEN n %% 1000 = 0 THEN 'AccountFrozen' ELSE 'Deposited' END, 1,
               lpad(to_hex(n), 32, '0')::uuid, '{"amount": 1}', '{}',
               '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', sha256(n::text::bytea)
          FROM generate_series(1, %s) AS n
        """,
        (STREAMS, STREAMS, EVENTS),
    )
    sweeper.execute("VACUUM ANALYZE events")  # what other tests removed must not weigh in the plans


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def cursor(*values: object) -> str:
    return quote(json.dumps([str(value) for value in values]))


WINDOW = "since=2026-01-01T01:00&until=2026-01-01T02:00"
QUERIES = {
    "the first page": "",
    "the next page": f"after={cursor(19_950)}",
    "a page in the middle": f"after={cursor(10_000)}",
    "the page before": f"before={cursor(10_000)}",
    "the last page": "end=1",
    "a jump to a position": "at=12345",
    "one stream": f"stream={STREAM}",
    "one stream, further on": f"stream={STREAM}&after={cursor(60)}",
    "one command": f"command={COMMAND}",
    "a common type": "event_type=Deposited",
    "a rare type": "event_type=AccountFrozen",
    "a type, further on": f"event_type=Deposited&after={cursor(10_000)}",
    "a window of time": WINDOW,
    "a window of time, further on": f"{WINDOW}&after={cursor('2026-01-01 01:30:00+00:00', 5400)}",
}


@pytest.mark.usefixtures("many_events")
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_a_page_is_found_by_an_index_and_reads_little_more_than_itself(operator: Client, query: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = operator.get(f"{LIST}?{query}")

    assert answer.status_code == 200
    on_events = [q["sql"] for q in captured if 'FROM "events"' in q["sql"]]
    assert len(on_events) == 1, on_events
    (sql,) = on_events
    assert "OFFSET" not in sql
    assert "COUNT(" not in sql.upper()
    assert '"data"' not in sql
    assert '"metadata"' not in sql
    assert rows_read(sql) <= 4 * PAGE


@pytest.mark.usefixtures("many_events")
def test_a_window_of_time_of_one_stream_reads_no_more_than_either_of_them_holds(operator: Client) -> None:
    """PostgreSQL may meet them in memory: an hour of all streams (3,600 events) and all of one stream (100)."""
    with CaptureQueriesContext(connection) as captured:
        answer = operator.get(f"{LIST}?{WINDOW}&stream={STREAM}")

    assert len(answer.context["rows"]) == 3600 // STREAMS
    (sql,) = [q["sql"] for q in captured if 'FROM "events"' in q["sql"]]
    assert rows_read(sql) <= 2 * (3600 + EVENTS // STREAMS)


@pytest.mark.usefixtures("many_events")
def test_every_page_takes_the_same_few_queries(operator: Client) -> None:
    counts = set()
    for query in QUERIES.values():
        with CaptureQueriesContext(connection) as captured:
            operator.get(f"{LIST}?{query}")
        counts.add(len(captured))

    assert max(counts) <= 7, "session, user, two for permissions, who looked, size, the page"


@pytest.mark.usefixtures("many_events")
def test_paging_forward_meets_every_event_once(operator: Client) -> None:
    seen: list[int] = []
    url: str | None = f"{LIST}?event_type=AccountFrozen"
    while url:
        context = operator.get(url).context
        seen += [int(str(row[0][1]).split(">")[1].split("<")[0]) for row in context["rows"]]
        url = context["older_url"]

    assert seen == list(range(EVENTS, 0, -1000))


@pytest.mark.usefixtures("many_events")
def test_paging_backward_leads_to_the_first_page(operator: Client) -> None:
    first = operator.get(LIST).context
    second = operator.get(first["older_url"]).context

    back = operator.get(second["newer_url"]).context

    assert [str(row[0][1]) for row in back["rows"]] == [str(row[0][1]) for row in first["rows"]]
    assert back["newer_url"] is None


@pytest.mark.usefixtures("many_events")
def test_a_jump_lands_on_the_position(operator: Client) -> None:
    rows = operator.get(f"{LIST}?at=12345").context["rows"]

    assert ">12345<" in str(rows[0][0][1])


@pytest.mark.parametrize(
    "query",
    [
        "after=nonsense",
        "after=[]",
        'after=["x"]',
        "after=[null]",
        "before={}",
        "at=-1",
        "at=1e9",
        f"at={10**30}",
        'after=["1","2"]',
        "at=%00",
    ],
)
def test_a_cursor_that_no_page_gave_out_leads_to_the_first_page(operator: Client, query: str) -> None:
    answer = operator.get(f"{LIST}?{query}")

    assert (answer.status_code, answer.headers["Location"]) == (302, LIST)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("stream=7", "stream"),
        ("command=x", "command"),
        ("event_type=Nonsense", "event_type"),
        ("since=yesterday", "since"),
    ],
)
def test_a_filter_that_is_none_is_told_at_its_field(operator: Client, query: str, field: str) -> None:
    answer = operator.get(f"{LIST}?{query}")

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert "Correct what is marked above" in answer.content.decode()


def test_parameters_that_are_no_filter_are_not_used_as_one(operator: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = operator.get(f"{LIST}?data__icontains=x&event_type__icontains=y&o=3&p=9&all=1")

    assert answer.status_code == 200
    assert not any("LIKE" in query["sql"].upper() for query in captured)
