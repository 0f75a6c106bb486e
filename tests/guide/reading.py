"""Reading the troubleshooting guide, where it stands beside the checkout."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.installation import ROOT

GUIDE = ROOT / "../shared/guide/troubleshooting-guide.md"
_FENCE = re.compile(r"^[ ]*```(\w+)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:curl|tail) [^`]+)`")
_CURL = re.compile(r"curl (?:-X (\w+) )?http://localhost:(\d+)([^\s`]*)")
_ALERT = re.compile(
    r"- alert: (\w+)\s+expr: (.+)\s+for: (\w+)\s+labels:\s+severity: (\w+)\s+annotations:\s+summary: \"(.+)\""
)
_METRIC = re.compile(r"^   - (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Guide:
    text: str

    def blocks(self, language: str) -> list[str]:
        return [body for found, body in _FENCE.findall(self.text) if found == language]

    def calls(self) -> set[tuple[str, int, str]]:
        """(method, port, path) of every curl line."""
        return {(method or "GET", int(port), path) for method, port, path in _CURL.findall(self.text)}

    def settings(self) -> list[dict[str, str]]:
        """Name and value of each line, block by block."""
        return [
            dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line and "#" not in line)
            for block in self.blocks("env")
        ]

    def statements(self) -> list[str]:
        """SQL without its comments, each in one line."""
        bare = re.sub(r"--.*", "", "\n".join(self.blocks("sql")))
        return [normal(statement) for statement in bare.split(";") if statement.strip()]

    def alerts(self) -> list[tuple[str, ...]]:
        return [
            tuple(part.strip() for part in found) for block in self.blocks("yaml") for found in _ALERT.findall(block)
        ]

    def commands(self) -> list[str]:
        """Lines for a shell that are no curl."""
        lines = [line.strip() for block in self.blocks("bash") for line in block.splitlines()]
        inline: list[str] = _INLINE.findall(self.text)
        return [line for line in [*lines, *inline] if line and not line.startswith(("#", "curl"))]

    def metrics(self) -> list[str]:
        """The key metrics by their names."""
        part = self.text.partition("### Key Metrics")[2].partition("###")[0]
        return [name.strip() for name in _METRIC.findall(part)]


def normal(statement: str) -> str:
    return " ".join(statement.split())


def guide() -> Guide | None:
    path = Path(GUIDE)
    return Guide(path.read_text(encoding="utf-8")) if path.exists() else None
