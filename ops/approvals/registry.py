"""What takes two persons. Each floor registers its own actions in `AppConfig.ready()`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

Command = dict[str, Any]
"""What exactly would be done, JSON-ready, without anything that is chosen only when it is done."""


class CannotDo(Exception):
    """The command would do nothing, or did nothing; the message says why, for people. Who shows it says before it
    that nothing was done."""


class Stale(CannotDo):
    """What the command was looked at on has changed since; nothing was done."""


@dataclass(frozen=True, slots=True)
class Approved:
    """Whose command it is and who approved it, for `execute`. `id` is its idempotency key."""

    id: UUID
    asked_by: str
    decided_by: str
    reason: str
    versions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of it, a line for each thing, and where it can be seen. `only_begun`: by a job, whose end has an
    entry of its own in the audit."""

    lines: Sequence[str]
    url: str = ""
    only_begun: bool = False


class SensitiveAction(ABC):
    """An action that one person asks for and another approves; both need its `permissions`, the other one
    `ops.decide_approval` as well."""

    name: ClassVar[str]
    """In the audit, with "ask_", "approve_" and so on before it, and alone for the deed."""
    title: ClassVar[str]
    permission: ClassVar[str]
    is_collected: ClassVar[bool] = False
    """Whether, once approved, it is done when the person who asked comes for it: its result is for that person's eyes
    alone."""

    def permissions(self, command: Command) -> tuple[str, ...]:
        """What it takes to ask for this command, or to approve it."""
        return (self.permission,)

    @abstractmethod
    def preview(self, command: Command) -> Sequence[str]:
        """What it would do now, a line for each thing; changes nothing.

        Raises:
            CannotDo: it would not be done, and why.
        """

    @abstractmethod
    def versions(self, command: Command) -> dict[str, Any]:
        """On what it would be done, JSON-ready: an approval counts for as long as this stays the same."""

    def in_words(self, command: Command) -> Sequence[tuple[str, str]]:
        """What the command says, name by name, where people do not read it as it is recorded."""
        return []

    def pages(self, command: Command) -> Sequence[tuple[str, str]]:
        """The names and URLs of the pages of what it is about, for whoever wants to look before they decide."""
        return []

    def differences(self, then: dict[str, Any], now: dict[str, Any]) -> Sequence[str]:
        """What differs between two `versions`, a sentence for each thing; none where they are equal alone."""
        names = sorted({name for name in then | now if then.get(name) != now.get(name)})
        return [f"{name} was {then.get(name)} and is {now.get(name)} now." for name in names]

    @abstractmethod
    def execute(self, command: Command, approved: Approved) -> Carried:
        """Does it, at most once for `approved.id`, however often it is called.

        Raises:
            Stale, CannotDo: nothing was done, and nothing will be. What else is raised is of the moment: it is called
                again later, with the same id.
        """


_actions: dict[str, SensitiveAction] = {}


def register_sensitive(action: SensitiveAction) -> None:
    """
    Raises:
        ValueError: the name is taken.
    """
    if action.name in _actions:
        raise ValueError(f"sensitive action {action.name!r} is registered twice")
    _actions[action.name] = action


def sensitive(name: str) -> SensitiveAction:
    """
    Raises:
        LookupError: nothing of that name is registered.
    """
    try:
        return _actions[name]
    except KeyError:
        raise LookupError(f"no sensitive action is called {name!r}") from None


def all_sensitive() -> list[SensitiveAction]:
    return [action for _, action in sorted(_actions.items())]
