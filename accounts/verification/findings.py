"""What a verification found."""

from dataclasses import dataclass, field

KEPT = 20
"""How many differences are told in words; all are counted."""


@dataclass(slots=True)
class Findings:
    """Differences between the books and what should follow from them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(sentence)
