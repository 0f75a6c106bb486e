"""One log line format for all processes: console for people, JSON on request.

Each line says which operation, request, correlation, trace and actor it belongs to, as far as there are any. No line
holds a secret or names an account holder: see `mask`.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import redis
import structlog
from structlog.typing import EventDict, WrappedLogger

MASK = "***"
SECRET_KEYS = re.compile(r"passw|secret|token|authorization|cookie|signature|api_?key|credential", re.IGNORECASE)
PERSONAL_KEYS = {"owner", "owner_name", "holder_name", "description", "first_name", "last_name", "email"}
"""What tells of account holders and of what they pay for. (`holder` is a process: the relay's lease has one.)"""
SECRET_TEXT = re.compile(r"bk_[0-9a-f]{12}_[A-Za-z0-9_-]+|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)|(?<=Bearer )\S+")
"""API keys, passwords in addresses, bearer tokens."""
LONGEST_DEPTH = 4
BROKERS_USERS = ("celery.beat", "celery.bootsteps", "celery.worker", "kombu")
TIMESTAMPER = structlog.processors.TimeStamper(fmt="iso", utc=True)


def name_operation(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The id of the operation that the line belongs to."""
    from ops.operations import current  # it loads the settings, which load this module

    if begun := current():
        event.setdefault("operation", begun.id)
    return event


def drop_noise(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """One line a request: the one at its end says all that the one at its beginning does."""
    if event.get("event") == "request_started":
        raise structlog.DropEvent
    return event


def mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Hides values by the names of their keys, and secrets by their looks."""
    return {key: value if key in _OUR_OWN else _masked(key, value, LONGEST_DEPTH) for key, value in event.items()}


_OUR_OWN = {"_record", "_from_structlog", "exc_info", "level", "logger", "timestamp"}


def _masked(key: str, value: Any, depth: int) -> Any:
    if key in PERSONAL_KEYS or SECRET_KEYS.search(key):
        return MASK
    if isinstance(value, str):
        return SECRET_TEXT.sub(MASK, value)
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), item, depth - 1) for inner, item in value.items()} if depth else MASK
    if isinstance(value, (list, tuple)):
        return [_masked("", item, depth - 1) for item in value] if depth else MASK
    return value


def mask_text(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Hides secrets in a traceback once it is text."""
    if isinstance(text := event.get("exception"), str):
        event["exception"] = SECRET_TEXT.sub(MASK, text)
    return event


def without_broker(record: logging.LogRecord) -> bool:
    """A logging filter: that the broker of jobs does not answer is one line in words, where Celery and its parts
    write the tracebacks of each attempt, and the way to them. What a task of ours raises is told as ever."""
    if record.name == "py.warnings":
        return "worker_cancel_long_running_tasks_on_connection_loss" not in record.getMessage()
    if record.exc_info and record.name.startswith(BROKERS_USERS):
        trouble = next((error for error in _chain(record.exc_info[1]) if isinstance(error, redis.RedisError)), None)
        if trouble is not None:
            said = record.getMessage().partition("\n")[0]
            record.msg = f"Redis, the broker of jobs, does not answer; it is tried again. ({said}; {trouble})"
            record.args, record.exc_info, record.exc_text = (), None, None
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those it came of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    name_operation,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    TIMESTAMPER,
]


def logging_config(*, level: str, levels: Mapping[str, str], form: str, timestamps: bool = True) -> dict[str, Any]:
    """The value of Django's LOGGING; `form` is "console" or "json", `levels` go by module. Everything goes to
    standard error. Without `timestamps` console lines leave the time to whoever collects them."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            drop_noise,
            *SHARED_PROCESSORS,
            mask,  # again below: here for handlers of others, which see what was logged before it is a line
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Plain tracebacks: a richer one would print local variables, and with them secrets.
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask]
    final.append(structlog.processors.format_exc_info)
    final.append(mask_text)
    if form == "json":
        final.append(structlog.processors.JSONRenderer(default=str))
    else:
        final += [console] if timestamps else [_without_time, console]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": final,
                "foreign_pre_chain": SHARED_PROCESSORS,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": [without_broker]},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.request": {"level": "CRITICAL"},  # django-structlog's line says it all, the traceback too
            "psycopg.pool": {"level": "WARNING"},  # it tells of each connection lent
            # Anyone may send a wrong Host. Without any handler Python would print line and traceback by itself.
            "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
            **{module: {"level": wanted} for module, wanted in levels.items()},
        },
    }


def _without_time(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event.pop("timestamp", None)
    return event
