"""Putting a stack that was kept as code objects into words."""

from collections.abc import Iterable
from pathlib import Path
from types import CodeType

SHOWN = 12
ROOT = f"{Path(__file__).resolve().parents[2]}/"
NOT_TOLD = (
    "/psycopg_pool/",
    "/django/db/",
    "/django/utils/",
    "/asgiref/",
    "/contextlib.py",
    f"{ROOT}ops/breaker.py",
    f"{ROOT}ops/database/",
    f"{ROOT}ops/timeouts/",
)
"""Parts of paths that every connection passes."""


def in_words(code: Iterable[tuple[CodeType, int]]) -> list[str]:
    """From the nearest: "accounts/api/reads.py:88 in get". Paths below the project are told from its root."""
    told = []
    for frame, instruction in code:
        path = frame.co_filename
        if any(part in path for part in NOT_TOLD):
            continue
        told.append(f"{_short(path)}:{_line(frame, instruction)} in {frame.co_qualname}"[:160])
        if len(told) == SHOWN:
            break
    return told


def _short(path: str) -> str:
    return path.rpartition("/site-packages/")[2].removeprefix(ROOT)


def _line(code: CodeType, instruction: int) -> int:
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
