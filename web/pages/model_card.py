"""The metrics of a model as its page shows them. Pure."""

from dataclasses import dataclass

from model.card import Card
from web.pages.formatting import format_percent, format_significant, format_threshold

# Title, explanation and whether the value is a share, in the order in which they are shown.
_METRICS = {
    "accuracy": ("Accuracy", "share of correct predictions", True),
    "roc_auc": ("ROC AUC", "1 = perfect ranking, 0.5 = random", False),
    "brier": ("Brier score", "mean squared error of the probability; lower is better", False),
    "log_loss": ("Log loss", "lower is better", False),
    "r2": ("R²", "share of the variance explained; 1 is best", False),
    "mae": ("Mean absolute error", "in the unit of the target; lower is better", False),
    "rmse": ("Root mean squared error", "in the unit of the target; lower is better", False),
}
# The metrics in which permutation importance is measured; the first that a model has.
_IMPORTANCE_METRICS = ("roc_auc", "r2", "accuracy")


@dataclass(frozen=True, slots=True)
class ShownMetric:
    """A metric as the page shows it; ``interval`` is its 95% confidence interval, if there is one."""

    title: str
    value: str
    interval: str | None
    explanation: str


def metrics(card: Card) -> list[ShownMetric]:
    """Return the metrics on held-out records; none if the model was not evaluated."""
    measured = card.metrics
    if measured is None:
        return []
    return [
        ShownMetric(
            title,
            _format(value, is_share),
            _format_interval(measured.intervals.get(name), is_share),
            _explain(name, explanation, card),
        )
        for name, (title, explanation, is_share) in _METRICS.items()
        if (value := getattr(measured, name)) is not None
    ]


def importance_metric(card: Card) -> str:
    """Return the title of the metric in which permutation importance is measured."""
    measured = card.metrics
    names = [name for name in _IMPORTANCE_METRICS if measured and getattr(measured, name) is not None]
    return _METRICS[names[0]][0] if names else ""


def _format(value: float, is_share: bool) -> str:
    if is_share:
        return format_percent(value, 1)
    return f"{value:.4f}" if abs(value) < 1 else format_significant(value)


def _format_interval(bounds: tuple[float, float] | None, is_share: bool) -> str | None:
    return None if bounds is None else f"95% CI {' to '.join(_format(bound, is_share) for bound in bounds)}"


def _explain(name: str, explanation: str, card: Card) -> str:
    if name == "accuracy" and card.threshold is not None and card.decides_by_threshold:
        return f"{explanation} at the {format_threshold(card.threshold)} threshold"
    return explanation
