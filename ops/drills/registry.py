"""What a drill is made of, and which there are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from ops.conf import get_settings
from ops.drills.http import BankOverHttp


class CannotDrill(Exception):
    """The drill cannot be held here; the message says why and what to do. Nothing was done."""


class Customers(Protocol):
    """People who use the bank over its API while the drill lasts."""

    def send(self, path: str, body: dict[str, Any]) -> bool:
        """Sends a command with a key of its own; whether the bank acknowledged it. Every one is accounted for."""

    def open_account(self) -> str: ...

    def settle(self) -> list[str]:
        """Asks again, with the same keys, for what was not acknowledged, and holds the books against all of it;
        returns what was lost or doubled, in words."""

    @property
    def acknowledged(self) -> int: ...


@dataclass(frozen=True)
class Scene:
    """Where a drill is held. `manage` runs a command of manage.py as a person would, and fails if it does."""

    bank: BankOverHttp
    customers: Customers
    manage: Callable[..., None]
    say: Callable[[str], None]


class Part(ABC):
    """One symptom with its remedy. Made for one drill and used once."""

    symptom: ClassVar[str]
    remedy: ClassVar[str]
    components: ClassVar[tuple[str, ...]]
    """Whose health must be well before and after."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def lacks(self) -> str | None:
        """A sentence on what the part needs and does not find; None: all is there."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """What must be there before anything goes wrong: accounts, a quiet moment."""

    @abstractmethod
    def produce(self, cleanup: ExitStack) -> None:
        """Makes it go wrong, and returns; `cleanup` undoes it in any case."""

    @abstractmethod
    def reported(self) -> str | None:
        """What the bank itself says of it; None: nothing yet."""

    @abstractmethod
    def cure(self) -> None:
        """Does what the manual says."""

    def is_well(self) -> bool:
        return self.ailing() is None

    def ailing(self) -> str | None:
        """The first of the components that is not well, and why."""
        for name in self.components:
            told = self.scene.bank.component(name)
            if told["status"] != "healthy":
                return f"{name}: {told['reason']}"
        return None

    def cured_within(self) -> float:
        """Seconds."""
        return 120.0


def noticed_within() -> float:
    """Seconds that the bank has to notice: ten, or two looks of the monitor."""
    return max(10.0, 2.0 * get_settings().deadlock_check_interval)


CustomersFactory = Callable[[BankOverHttp], AbstractContextManager[Customers]]
_parts: dict[str, list[type[Part]]] = {}
_customers: list[CustomersFactory] = []


def register_part(drill: str, part: type[Part]) -> None:
    """Adds a part to the end of a drill."""
    _parts.setdefault(drill, []).append(part)


def register_customers(factory: CustomersFactory) -> None:
    _customers[:] = [factory]


def registered_drills() -> dict[str, tuple[type[Part], ...]]:
    return {name: tuple(parts) for name, parts in sorted(_parts.items())}


def customers_of(bank: BankOverHttp) -> AbstractContextManager[Customers]:
    """
    Raises:
        CannotDrill: nobody registered any.
    """
    if not _customers:
        raise CannotDrill("There are no customers for a drill: no app has registered any.")
    return _customers[0](bank)
