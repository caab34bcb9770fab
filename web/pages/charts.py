"""The geometry of all charts, in the units of each one's SVG ``viewBox``. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

BAR_EXTENT = 100.0
"""The length of the longest bar that goes left or right from the middle of its table cell."""

Point = tuple[float, float]
Tick = tuple[float, str]
"""A position on an axis and its label."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A bar."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class BarArea:
    """An area of vertical bars, with ``footer`` units below them for the axis and its labels."""

    width: int
    height: int
    footer: int
    min_height: int
    """The height of the smallest bar that is not empty, so that it can be seen."""

    @property
    def view_box(self) -> str:
        """The ``viewBox`` of the chart."""
        return f"0 0 {self.width} {self.height + self.footer}"

    def bar(self, value: float, largest: float, x: float, width: float) -> Rectangle:
        """Return the bar of a value; that of ``largest`` is as high as the area."""
        height = max(self.min_height, round(self.height * value / largest, 1)) if value else 0
        return Rectangle(round(x, 1), round(self.height - height, 1), round(width, 1), height)


@dataclass(frozen=True, slots=True)
class Line:
    """A line through ``points``; ``dots`` marks them, ``name`` tells it from others in the same plot."""

    name: str | None
    points: list[Point]
    dots: bool = False

    @property
    def path(self) -> str:
        """The ``points`` attribute of an SVG polyline."""
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class PlotArea:
    """An area of lines, between ``left``, ``right``, ``top`` and ``bottom`` of a ``width`` by ``height`` drawing."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def view_box(self) -> str:
        """The ``viewBox`` of the plot."""
        return f"0 0 {self.width} {self.height}"

    def across(self, share: float) -> float:
        """Return the x coordinate of a share of the width, clipped to 0..1."""
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 1)

    def up(self, share: float) -> float:
        """Return the y coordinate of a share of the height, from the bottom up, clipped to 0..1."""
        return round(self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top), 1)

    def line(self, points: Sequence[Point], name: str | None = None, dots: bool = False) -> Line:
        """Return the line through points whose coordinates are shares of the area."""
        return Line(name, [(self.across(x), self.up(y)) for x, y in points], dots)


HISTOGRAM = BarArea(width=600, height=160, footer=24, min_height=2)
DRIFT = BarArea(width=300, height=80, footer=1, min_height=1)
PLOT = PlotArea(width=480, height=334, left=64, right=470, top=34, bottom=280)


def signed_bar(value: float, largest: float) -> float:
    """Return the length of a bar from the middle, negative to the left; that of ``largest`` is ``BAR_EXTENT``."""
    return round(BAR_EXTENT * value / largest, 1) if largest else 0.0
