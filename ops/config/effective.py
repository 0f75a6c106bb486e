"""Every setting with its effective value."""

from typing import Any

from pydantic import SecretStr

from ops.conf import Settings, get_settings
from ops.health.timeouts import SETTINGS as BOUNDS

REDACTED = "***"
TIMES = ("timeout", "_timeout_ms", "_interval", "_interval_ms", "_lease", "_poll_ms")


def effective_settings() -> list[dict[str, Any]]:
    """In the order of `Settings`: name, value (secrets redacted), default, source ("environment" or "default") and
    description."""
    settings = get_settings()
    return [_told(settings, name) for name in Settings.model_fields]


def _told(settings: Settings, name: str) -> dict[str, Any]:
    field = Settings.model_fields[name]
    required = field.is_required()
    return {
        "name": name.upper(),
        "value": _shown(getattr(settings, name)),
        "default": None if required else _shown(field.default),
        "required": required,
        "source": "environment" if name in settings.model_fields_set else "default",
        "description": field.description or "",
    }


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return REDACTED if value.get_secret_value() else ""
    return value


def timeouts() -> list[dict[str, Any]]:
    """The settings that bound how long something takes, with the value in seconds and the component it bounds."""
    bounded = {setting: component for component, setting in BOUNDS.items()}
    return [
        entry
        | {
            "seconds": entry["value"] / 1000 if entry["name"].endswith("_MS") else entry["value"],
            "component": bounded.get(entry["name"].lower()),
        }
        for entry in effective_settings()
        if entry["name"].lower().endswith(TIMES)
    ]
