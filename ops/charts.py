"""Small charts drawn by the server as SVG: no script, and nothing that the Content-Security-Policy forbids.

A chart is for the eye; the same figures stand in a table beside it, for everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 200
"""Units of the drawing; it is as wide as its place."""
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 12, 12


@dataclass(frozen=True, slots=True)
class StepChart:
    """A value that stays until the next point changes it. All coordinates are in the drawing's units."""

    width: int
    height: int
    line: str
    area: str
    zero: float
    last: tuple[float, float]


def step_chart(points: Sequence[tuple[float, float]]) -> StepChart | None:
    """From (when, value) in the order of time; zero is always within the picture. None below two points."""
    if len(points) < 2:
        return None
    first, last = points[0][0], points[-1][0]
    lowest, highest = min(0, *(value for _, value in points)), max(0, *(value for _, value in points))
    across = (WIDTH - LEFT - RIGHT) / ((last - first) or 1)
    up = (HEIGHT - TOP - BOTTOM) / ((highest - lowest) or 1)

    def place(when: float, value: float) -> tuple[float, float]:
        return round(LEFT + (when - first) * across, 1), round(HEIGHT - BOTTOM - (value - lowest) * up, 1)

    placed = [place(*point) for point in points]
    zero = place(first, 0)[1]
    x, y = placed[0]
    line = f"M{x} {y}" + "".join(f"H{x}V{y}" for x, y in placed[1:])
    return StepChart(WIDTH, HEIGHT, line, f"{line}V{zero}H{placed[0][0]}Z", zero, placed[-1])
