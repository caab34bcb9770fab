"""What the page of a job draws of its summary: decisions, the histogram of probabilities, rejects by kind. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.card import Card
from web.pages.formatting import grouped_digits, percent

WIDTH, HEIGHT = 600, 160
_GAP = 2
# A bin with any rows at all is seen.
_LEAST_HEIGHT = 2
_MAX_SIDE_BY_SIDE = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin of the histogram: its lower edge, its range in words, its rows, and the rectangle that shows it."""

    low: float
    range: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Decision:
    """How many rows got one prediction, and their share of all scored rows; of several targets, for which it is."""

    name: str
    count: int
    share: float
    positive: bool
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """The results of a job in numbers; ``has_slider`` where moving the threshold makes sense.

    ``bars`` are bins of probabilities, or of a regressor's predictions, or none; ``of_values`` tells the two apart.
    Many decisions, or those of several targets, are best read as a table: ``is_long``.
    """

    bars: list[Bar]
    decisions: list[Decision]
    positive: str | None
    threshold: float
    has_slider: bool
    axis: tuple[str, str, str]
    of_values: bool = False

    @property
    def is_long(self) -> bool:
        """Whether there are more decisions than stand well side by side."""
        return len(self.decisions) > _MAX_SIDE_BY_SIDE or self.has_targets

    @property
    def has_targets(self) -> bool:
        """Whether the decisions are about several targets."""
        return any(decision.target is not None for decision in self.decisions)


def chart(summary: Mapping[str, Any], card: Card | None, threshold: float | None) -> Chart | None:
    """What is drawn of a summary (of the API); None where nothing was scored. Without a card, no class is positive."""
    if values := summary.get("values"):
        axis = _axis(values["edges"], grouped_digits)
        bars = _bars(values["edges"], values["counts"], grouped_digits)
        return Chart(bars, [], None, 0.0, has_slider=False, axis=axis, of_values=True)
    counts = dict(summary["predictions"])
    if not any(counts.values()):
        return None
    positive = card.positive_class if card else None
    if card and card.targets:
        decisions = _decisions_by_target(counts, card)
    else:
        order = {name: place for place, name in enumerate(card.classes if card else ())}
        names = sorted({*counts, *order}, key=lambda name: (name != positive, order.get(name, len(order)), name))
        decisions = _decisions({name: counts.get(name, 0) for name in names}, positive)
    histogram = summary["probability"]
    bars = _bars(histogram["edges"], histogram["counts"], percent) if any(histogram["counts"]) else []
    has_slider = threshold is not None and positive is not None and len(decisions) == 2
    return Chart(bars, decisions, positive, threshold or 0.0, has_slider, _axis(histogram["edges"], percent))


def _decisions(counts: Mapping[str, int], positive: str | None, target: str | None = None) -> list[Decision]:
    scored = sum(counts.values()) or 1
    return [Decision(name, count, count / scored, name == positive, target) for name, count in counts.items()]


def _decisions_by_target(counts: Mapping[str, int], card: Card) -> list[Decision]:
    """The decisions about each target: these are counted under its name and the class."""
    return [
        decision
        for target, classes in zip(card.targets, card.target_classes, strict=False)
        for decision in _decisions({name: counts.get(f"{target}: {name}", 0) for name in classes}, None, target)
    ]


def _axis(edges: Sequence[float], words: Callable[[float], str]) -> tuple[str, str, str]:
    return words(edges[0]), words(edges[len(edges) // 2]), words(edges[-1])


def _bars(edges: Sequence[float], counts: Sequence[int], words: Callable[[float], str]) -> list[Bar]:
    step, most = WIDTH / len(counts), max([*counts, 1])
    bars = []
    for place, count in enumerate(counts):
        height = max(_LEAST_HEIGHT, round(HEIGHT * count / most, 1)) if count else 0
        x, width = round(place * step + _GAP / 2, 1), round(step - _GAP, 1)
        between = f"{words(edges[place])} to {words(edges[place + 1])}"
        bars.append(Bar(edges[place], between, count, x, HEIGHT - height, width, height))
    return bars
