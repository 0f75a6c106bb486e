"""Traces, for those who collect them: one span a request, one an operation, sent by OpenTelemetry's protocol.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set, and then it needs the packages of requirements/otel.txt. A span carries
kind, name and outcome; never amounts, names of people, or what a request held.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ops.conf import ConfigurationError, get_settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE = "bankes"
QUEUE, BATCH = 2048, 512
"""Most spans that wait to be sent (later ones are dropped), and most in one message."""
SEND_WITHIN = 5.0
"""Seconds for one message; a collector that does not answer holds up nothing but its own thread."""


def span(
    name: str,
    attributes: Mapping[str, str | int] | None = None,
    *,
    parent: str = "",
    unless: type[BaseException] | tuple[()] = (),
) -> AbstractContextManager[str]:
    """Records the block, and by its type an exception that it raises; nothing where that is one of `unless`: it was
    left to somebody else, who records it. `parent` is a traceparent (W3C Trace Context), by default the span that the
    block runs in. Gives the new span's traceparent; "" where nothing is collected.

    Raises:
        ConfigurationError: the packages are not installed.
    """
    provider = _provider(get_settings().otel_exporter_otlp_endpoint)
    return _NOTHING if provider is None else _recorded(provider, name, attributes, parent, unless)


_NOTHING = nullcontext("")


@contextmanager
def _recorded(
    provider: "TracerProvider",
    name: str,
    attributes: Mapping[str, str | int] | None,
    parent: str,
    unless: type[BaseException] | tuple[()],
) -> Iterator[str]:
    from opentelemetry.trace import StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator as Propagator

    context = Propagator().extract({"traceparent": parent}) if parent else None
    with provider.get_tracer(SERVICE).start_as_current_span(
        name,
        context,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
        end_on_exit=False,  # one that does not end is not sent
    ) as begun:
        carrier: dict[str, str] = {}
        Propagator().inject(carrier)
        try:
            yield carrier["traceparent"]
        except unless:
            raise
        except BaseException as error:  # its message may tell what nobody outside may know
            begun.set_status(StatusCode.ERROR, type(error).__name__)
            begun.end()
            raise
        begun.end()


def tell(name: str, attributes: Mapping[str, str | int]) -> None:
    """What the current span turned out to be."""
    if get_settings().otel_exporter_otlp_endpoint:
        from opentelemetry.trace import get_current_span

        get_current_span().update_name(name)
        get_current_span().set_attributes(attributes)


def require_packages() -> None:
    """To be called at start.

    Raises:
        ConfigurationError: traces are to be sent, and the packages for that are not installed.
    """
    _provider(get_settings().otel_exporter_otlp_endpoint)


def flush() -> None:
    """Sends what waits, within `SEND_WITHIN`."""
    provider = _provider(get_settings().otel_exporter_otlp_endpoint)
    if provider is not None:
        provider.force_flush(int(SEND_WITHIN * 1000))


@lru_cache(maxsize=4)
def _provider(endpoint: str) -> "TracerProvider | None":
    """One a process; its sender begins anew in a forked child."""
    if not endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages that send traces are not installed: "
            ".venv/bin/python -m pip install --require-hashes -r requirements/otel.txt"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    exporter: Any = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_WITHIN)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH))
    return provider
