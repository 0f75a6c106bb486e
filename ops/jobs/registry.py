"""What can be run as a job. Each floor registers its own actions in `AppConfig.ready()`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ops.jobs.progress import Progress


class JobFailed(Exception):
    """The action was not carried out, or not whole; the message says why and what can be done, for people."""

    def __init__(self, message: str, report: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.report = list(report)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and for whom."""

    input: dict[str, Any]
    actor: str
    reason: str
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class JobAction:
    """`run` does it and returns the report, a line for each thing; it calls `Progress` often, and lets `Cancelled`
    pass. `permission` is asked of who starts or cancels it; `if_interrupted` says what to do after a worker died in
    the midst of it."""

    name: str
    title: str
    permission: str
    run: Callable[[Order, Progress], Sequence[str]]
    if_interrupted: str


class UnknownAction(LookupError):
    """Nothing of that name can be run."""


_actions: dict[str, JobAction] = {}


def register_action(action: JobAction) -> None:
    _actions[action.name] = action


def action_of(name: str) -> JobAction:
    """
    Raises:
        UnknownAction: nothing of that name; the message lists what there is.
    """
    try:
        return _actions[name]
    except KeyError:
        raise UnknownAction(f"no job runs {name!r}; there are: {', '.join(sorted(_actions))}") from None


def title_of(name: str) -> str:
    """For people, also of an action that this code no longer has, or that ran without a job."""
    return _actions[name].title if name in _actions else name.replace("_", " ").capitalize()


def all_actions() -> list[JobAction]:
    return [action for _, action in sorted(_actions.items())]
