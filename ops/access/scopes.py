"""What an API key may be allowed to do. Each floor registers its own scopes in `AppConfig.ready()`."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

_scopes: dict[str, str] = {}


def register_scope(name: str, description: str) -> str:
    """Makes a scope known, so that keys can be issued with it; `description` is what staff read. Returns its name."""
    _scopes[name] = description
    return name


def known_scopes() -> Mapping[str, str]:
    """Descriptions of all scopes, by name."""
    return MappingProxyType(_scopes)


OPS_READ = register_scope("ops:read", "Read health, metrics, configuration and what is in hand")
OPS_WRITE = register_scope("ops:write", "Clean up")


def can_write(scopes: Collection[str]) -> bool:
    """Whether a key with these scopes can change anything: only scopes named `…:read` cannot."""
    return any(not scope.endswith(":read") for scope in scopes)
