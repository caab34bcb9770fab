"""A model's card in words: how well it does. Pure."""

from dataclasses import dataclass

from model.card import Card
from web.pages.formatting import grouped_digits, percent

# Title, meaning, and whether it is a share, in the order in which they are shown.
_METRICS = {
    "accuracy": ("Right predictions", "accuracy", True),
    "roc_auc": ("ROC AUC", "1 sorts all records right, 0.5 is chance", False),
    "brier": ("Brier score", "mean squared error of the probability; 0 is best", False),
    "log_loss": ("Log loss", "0 is best", False),
    "r2": ("R²", "the share of the variance that it explains; 1 is best", False),
    "mae": ("Mean absolute error", "in the target's own unit; 0 is best", False),
    "rmse": ("Root mean squared error", "in the target's own unit; 0 is best", False),
}


@dataclass(frozen=True, slots=True)
class ShownMetric:
    """A metric as the page shows it; `interval` holds its 95 % interval, where there is one."""

    title: str
    value: str
    interval: str | None
    words: str


def metrics(card: Card) -> list[ShownMetric]:
    """How well the model does on held-out records; empty where that was not measured."""
    found = card.metrics
    if found is None:
        return []
    return [
        ShownMetric(title, _shown(value, share), _interval(found.intervals.get(name), share), _words(name, words, card))
        for name, (title, words, share) in _METRICS.items()
        if (value := getattr(found, name)) is not None
    ]


def main_metric(card: Card) -> str:
    """The title of the metric that importance is measured in: the first that there is of those."""
    found = card.metrics
    names = [name for name in ("roc_auc", "r2", "accuracy") if found and getattr(found, name) is not None]
    return _METRICS[names[0]][0] if names else ""


def _shown(value: float, share: bool) -> str:
    if share:
        return percent(value, 1)
    return f"{value:.4f}" if abs(value) < 1 else grouped_digits(value)


def _interval(bounds: tuple[float, float] | None, share: bool) -> str | None:
    return None if bounds is None else " to ".join(_shown(bound, share) for bound in bounds)


def _words(name: str, words: str, card: Card) -> str:
    if name == "accuracy" and card.threshold is not None and card.decides_by_threshold:
        return f"{words} at the threshold of {percent(card.threshold)}"
    return words
