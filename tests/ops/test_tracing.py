"""Traces: a span a request, a span an operation, one thread through all of it; and nothing where nobody asks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from eventstore.models import Event
from ops import tracing
from ops.conf import get_settings
from ops.embedded.layout import ROOT
from tests.accounts.api.caller import Caller, new_caller
from tests.accounts.api.lanes import LaneClient
from tests.bank import Bank

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """What an OpenTelemetry collector does, as far as it matters: takes spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                message = ExportTraceServiceRequest()
                message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in message.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def api(bank: Bank) -> Caller:
    return new_caller()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setattr(tracing, "SEND_WITHIN", 0.5)
        get_settings.cache_clear()
        yield server
        provider = tracing._provider(server.url)
        assert provider is not None
        provider.shutdown()
        server.shutdown()
    monkeypatch.undo()
    get_settings.cache_clear()


def test_request_and_operation_are_spans_of_the_callers_trace(api: Caller, collector: Collector) -> None:
    answer = api.post("/accounts", {"owner": "Ann Secret", "currency": "EUR"}, traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.status_code == 201
    tracing.flush()

    request = next(span for span in collector.spans if span.name.startswith("POST /api/v1/accounts"))
    operation = next(span for span in collector.spans if span.name.startswith("command "))
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert request.parent_span_id.hex() == CALLER
    assert operation.parent_span_id == request.span_id
    assert Event.objects.get().metadata["traceparent"] == f"00-{TRACE}-{request.span_id.hex()}-01"
    assert "Secret" not in str(collector.spans)


LANES = pytest.mark.parametrize("http", [Client, LaneClient], ids=["ordinary lane", "fast lane"])


@LANES
def test_an_event_is_linked_to_the_request_that_recorded_it(
    api: Caller, collector: Collector, http: type[Client]
) -> None:
    account_id = api.open()
    caller = Caller(api.token, api.client, http())
    body = {"amount": "1.00", "currency": "EUR"}
    answer = caller.post(f"/accounts/{account_id}/deposits", body, traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.status_code == 200
    tracing.flush()

    [request] = [span for span in collector.spans if span.parent_span_id.hex() == CALLER]
    recorded = Event.objects.get(event_type="Deposited").metadata["traceparent"]
    assert recorded == f"00-{TRACE}-{request.span_id.hex()}-01"


def test_what_the_fast_lane_leaves_is_part_of_the_callers_span(api: Caller, collector: Collector) -> None:
    account_id = api.open()
    caller = Caller(api.token, api.client, LaneClient())
    body = {"amount": "1.00", "currency": "EUR", "description": "x" * 5000}
    answer = caller.post(f"/accounts/{account_id}/deposits", body, traceparent=f"00-{TRACE}-{CALLER}-01")
    assert answer.status_code == 400
    tracing.flush()

    request = next(span for span in collector.spans if span.name.startswith("POST /api/v1/accounts/<"))
    assert request.parent_span_id.hex() == CALLER


def test_what_the_fast_lane_leaves_is_recorded_once_and_not_as_an_error(api: Caller, collector: Collector) -> None:
    account_id = api.open()
    caller = Caller(api.token, api.client, LaneClient())
    body = {"amount": "1.0", "currency": "EUR", "description": "x" * 5000}
    caller.post(f"/accounts/{account_id}/deposits", body, traceparent=f"00-{TRACE}-{CALLER}-01")
    tracing.flush()

    [request] = [span for span in collector.spans if span.trace_id.hex() == TRACE and span.name.startswith("POST ")]
    assert request.name.startswith("POST /api/v1/accounts/<")
    assert [span.name for span in collector.spans if "fast lane" in span.name] == []


def test_a_collector_that_is_gone_costs_a_request_nothing(api: Caller, collector: Collector) -> None:
    collector.shutdown()
    collector.server_close()
    assert api.post("/accounts", {"owner": "Ann", "currency": "EUR"}).status_code == 201
    assert Event.objects.count() == 1


def test_without_a_collector_the_callers_span_is_kept_as_it_came(api: Caller) -> None:
    parent = f"00-{TRACE}-{CALLER}-01"
    api.post("/accounts", {"owner": "Ann", "currency": "EUR"}, traceparent=parent)
    assert Event.objects.get().metadata["traceparent"] == parent


def test_a_collector_without_the_packages_stops_the_start_with_one_sentence() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import django; django.setup()"
    ended = _python(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert ended.returncode != 0
    assert "requirements/otel.txt" in ended.stderr.splitlines()[-1]


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
