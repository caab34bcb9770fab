"""The summary of a job as its page shows it: rows per prediction and the histogram of probabilities. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.card import Card
from web.pages.charts import HISTOGRAM, BarArea, Rectangle
from web.pages.formatting import format_percent, format_significant

_GAP = 2
_MAX_SIDE_BY_SIDE = 6


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of the histogram: its lower edge, its range in words, its rows and its bar."""

    low: float
    range: str
    count: int
    bar: Rectangle


@dataclass(frozen=True, slots=True)
class PredictionCount:
    """How many rows got one prediction, and their share of all scored rows; ``target`` if the model has several."""

    name: str
    count: int
    share: float
    positive: bool
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """The predictions of a job.

    ``bins`` are of probabilities, or of a regressor's predictions (``of_values``), or empty. ``has_slider`` says
    whether another threshold can be tried on them.
    """

    bins: list[Bin]
    predictions: list[PredictionCount]
    positive: str | None
    threshold: float
    has_slider: bool
    axis: tuple[str, str, str]
    of_values: bool = False
    area: BarArea = HISTOGRAM

    @property
    def is_long(self) -> bool:
        """Whether the predictions are better shown as a table than side by side."""
        return len(self.predictions) > _MAX_SIDE_BY_SIDE or self.has_targets

    @property
    def has_targets(self) -> bool:
        """Whether the predictions are of several targets."""
        return any(prediction.target is not None for prediction in self.predictions)

    @property
    def slider_step(self) -> int:
        """Percentage points between two positions of the slider: one bin, so that counts are exact."""
        return round(100 / len(self.bins)) if self.bins else 0

    @property
    def slider_value(self) -> int:
        """The position of the slider that is closest to the threshold, in percent."""
        return round(self.threshold * len(self.bins)) * self.slider_step


def chart(summary: Mapping[str, Any], card: Card | None, threshold: float | None) -> Chart | None:
    """Return the chart of a summary document; None if no row was scored. Without a card, no class is positive."""
    if values := summary.get("values"):
        axis = _axis(values["edges"], format_significant)
        bins = _bins(values["edges"], values["counts"], format_significant)
        return Chart(bins, [], None, 0.0, has_slider=False, axis=axis, of_values=True)
    counts = dict(summary["predictions"])
    if not any(counts.values()):
        return None
    positive = card.positive_class if card else None
    if card and card.targets:
        predictions = _predictions_by_target(counts, card)
    else:
        order = {name: index for index, name in enumerate(card.classes if card else ())}
        names = sorted({*counts, *order}, key=lambda name: (name != positive, order.get(name, len(order)), name))
        predictions = _predictions({name: counts.get(name, 0) for name in names}, positive)
    histogram = summary["probability"]
    bins = _bins(histogram["edges"], histogram["counts"], format_percent) if any(histogram["counts"]) else []
    has_slider = bool(bins) and threshold is not None and positive is not None and len(predictions) == 2
    return Chart(bins, predictions, positive, threshold or 0.0, has_slider, _axis(histogram["edges"], format_percent))


def _predictions(counts: Mapping[str, int], positive: str | None, target: str | None = None) -> list[PredictionCount]:
    scored = sum(counts.values()) or 1
    return [PredictionCount(name, count, count / scored, name == positive, target) for name, count in counts.items()]


def _predictions_by_target(counts: Mapping[str, int], card: Card) -> list[PredictionCount]:
    """Return the counts of each target; the summary has them as ``target: class``."""
    return [
        prediction
        for target, classes in zip(card.targets, card.target_classes, strict=False)
        for prediction in _predictions({name: counts.get(f"{target}: {name}", 0) for name in classes}, None, target)
    ]


def _axis(edges: Sequence[float], label: Callable[[float], str]) -> tuple[str, str, str]:
    return label(edges[0]), label(edges[len(edges) // 2]), label(edges[-1])


def _bins(edges: Sequence[float], counts: Sequence[int], label: Callable[[float], str]) -> list[Bin]:
    step, largest = HISTOGRAM.width / len(counts), max([*counts, 1])
    return [
        Bin(
            low=edges[index],
            range=f"{label(edges[index])} to {label(edges[index + 1])}",
            count=count,
            bar=HISTOGRAM.bar(count, largest, index * step + _GAP / 2, step - _GAP),
        )
        for index, count in enumerate(counts)
    ]
