"""How well a model predicted actual outcomes, as its page shows it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any

from model.card import Card
from model.monitoring.live import LEAST_OUTCOMES, compare
from web.pages.charts import PLOT
from web.pages.evaluation import DIAGONAL, Plot, Table, share_ticks
from web.pages.formatting import (
    format_number,
    format_percent,
    format_percent_tick,
    format_significant,
    format_tick,
    within_sentence,
)
from web.pages.history_charts import all_weeks, week_text, weekly_plot

Week = Mapping[str, Any]
"""A row of ``outcome_weeks``: week, version and figures."""

# Title of each metric that outcomes give, and whether it is a share.
_METRICS = {
    "accuracy": ("Accuracy", True),
    "roc_auc": ("ROC AUC", False),
    "mae": ("Mean absolute error", False),
    "rmse": ("Root mean squared error", False),
}
_MAX_WEEKS = 26
_CALIBRATION_WEEKS, _BINS = 4, 10


@dataclass(frozen=True, slots=True)
class LivePerformance:
    """Figures by week and version, whether the newest fall short of the held-out ones, and charts."""

    table: Table
    verdict: str
    falls_short: bool
    plots: list[Plot] = field(default_factory=list)


def live_performance(card: Card, weeks: Sequence[Week], drift: Plot | None = None) -> LivePerformance | None:
    """Return the figures of a model's weeks, newest first, below those on held-out records.

    ``drift`` is the chart of the same weeks. None if no outcome is known.
    """
    shown = [week for week in weeks if week["figures"]["rows"]][:_MAX_WEEKS]
    if not shown:
        return None
    names = [name for name in _METRICS if any(name in week["figures"] for week in shown)]
    header = ["Week from", "Version", "Outcomes", *(_METRICS[name][0] for name in names)]
    is_calibrated = any(week["figures"].get("calibration") for week in shown)
    header += ["Calibration error"] if is_calibrated else []
    rows = [
        [week_text(week["week"]), week["version"], format_number(week["figures"]["rows"])]
        + [_with_interval(week["figures"].get(name), _METRICS[name][1]) for name in names]
        + ([_calibration_error(map(_as_bin, week["figures"].get("calibration") or []))] if is_calibrated else [])
        for week in shown
    ]
    table = Table(
        "live-figures", "Figures by week and version", header, [*_held_out(card, names, is_calibrated), *rows]
    )
    plots = [_by_week(names[0], card, shown), _calibration(card, shown), drift] if names else [drift]
    return LivePerformance(table, *_verdict(card, shown), [plot for plot in plots if plot])


def _verdict(card: Card, weeks: Sequence[Week]) -> tuple[str, bool]:
    """Return a sentence about the newest week of this version with enough outcomes, and whether it falls short."""
    newest = next(
        (week for week in weeks if week["version"] == card.version and week["figures"]["rows"] >= LEAST_OUTCOMES), None
    )
    if card.metrics is None:
        return "", False
    if newest is None:
        why = f"no week has {LEAST_OUTCOMES} outcomes or more"
        return f"This version cannot be compared with held-out records yet: {why}.", False
    compared = compare(card, newest["figures"])
    short = [metric for metric in compared if metric.falls_short]
    titles = [within_sentence(_METRICS[metric.metric][0]) for metric in short or compared]
    if not titles:
        return "", False
    subject = f"In the week from {week_text(newest['week'])}, {' and '.join(titles)}"
    verb = "was" if len(titles) == 1 else "were"
    if short:
        return f"{subject} {verb} significantly worse than on held-out records: the intervals do not overlap.", True
    return f"{subject} {verb} not significantly worse than on held-out records.", False


def _held_out(card: Card, names: Sequence[str], is_calibrated: bool) -> Iterator[list[str]]:
    """Yield the row of the figures on held-out records."""
    if card.metrics is None:
        return
    cells = []
    for name in names:
        value, interval = getattr(card.metrics, name, None), card.metrics.intervals.get(name)
        measured = None if value is None else {"value": value, "interval": interval}
        cells.append(_with_interval(measured, _METRICS[name][1]))
    if is_calibrated:
        bins = card.evaluation.calibration if card.evaluation else ()
        cells.append(_calibration_error((part.rows, part.predicted, part.observed) for part in bins))
    yield ["Held-out records", card.version, format_number(card.metrics.rows), *cells]


_Bin = tuple[int, float, float]
"""Number of predictions with similar probabilities, their mean, and how often the positive class happened."""


def _as_bin(part: Mapping[str, Any]) -> _Bin:
    return part["rows"], part["predicted"], part["observed"]


def _calibration_error(bins: Iterable[_Bin]) -> str:
    """Return the expected calibration error: the mean distance of probability and frequency over the bins."""
    bins = list(bins)
    rows = sum(count for count, _, _ in bins)
    distances = sum(count * abs(predicted - observed) for count, predicted, observed in bins)
    return _format(distances / rows, is_share=True) if rows else ""


def _with_interval(measured: Mapping[str, Any] | None, is_share: bool) -> str:
    if measured is None:
        return ""
    text = _format(measured["value"], is_share)
    if not measured["interval"]:
        return text
    low, high = (_format(bound, is_share) for bound in measured["interval"])
    return f"{text} ({low} to {high})"


def _format(value: float, is_share: bool) -> str:
    return format_percent(value, 1) if is_share else f"{value:.3f}" if abs(value) < 1 else format_significant(value)


def _by_week(name: str, card: Card, weeks: Sequence[Week]) -> Plot:
    """Return the chart of a metric, of all versions of a week together, beside the held-out one of this version."""
    title, is_share = _METRICS[name]
    rows: dict[date, float] = {}
    sums: dict[date, float] = {}
    for week in weeks:
        if name in week["figures"]:
            count = week["figures"]["rows"]
            rows[week["week"]] = rows.get(week["week"], 0) + count
            sums[week["week"]] = sums.get(week["week"], 0) + count * week["figures"][name]["value"]
    held_out = getattr(card.metrics, name, None)
    shown = "" if held_out is None else _format(held_out, is_share)
    return weekly_plot(
        f"live-{name}",
        f"{title} on actual outcomes",
        f"The dashed line is the figure on held-out records: {shown}." if shown else "",
        all_weeks(rows),
        {title: {week: total / rows[week] for week, total in sums.items()}},
        lambda value: _format(value, is_share),
        y_format=format_percent_tick if is_share else format_tick,
        guide=held_out,
    )


def _calibration(card: Card, weeks: Sequence[Week]) -> Plot | None:
    """Return the calibration of this version in the newest weeks."""
    recent = [week["figures"]["calibration"] for week in weeks if week["version"] == card.version
              and week["figures"].get("calibration")][:_CALIBRATION_WEEKS]  # fmt: skip
    if not recent:
        return None
    bins: dict[int, list[float]] = {}
    for part in chain.from_iterable(recent):
        sums = bins.setdefault(min(int(part["predicted"] * _BINS), _BINS - 1), [0.0, 0.0, 0.0])
        sums[0] += part["rows"]
        sums[1] += part["rows"] * part["predicted"]
        sums[2] += part["rows"] * part["observed"]
    points = [(predicted / rows, observed / rows, rows) for _, (rows, predicted, observed) in sorted(bins.items())]
    return Plot(
        id="live-calibration",
        title="Calibration on actual outcomes",
        description="Records of the newest weeks, grouped by predicted probability. On the dashed line, the observed "
        f"frequency of {card.positive_class} equals the probability.",
        x_title="Predicted probability",
        y_title="Observed frequency",
        x_ticks=share_ticks(PLOT.across),
        y_ticks=share_ticks(PLOT.up),
        lines=[PLOT.line([(x, y) for x, y, _ in points], dots=True)],
        guide=PLOT.line(DIAGONAL),
        header=["Predicted probability", "Observed frequency", "Outcomes"],
        rows=[[format_percent(x, 1), format_percent(y, 1), format_number(rows)] for x, y, rows in points],
    )
