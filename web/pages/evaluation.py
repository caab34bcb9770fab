"""The evaluation of a model as its page shows it: curves, groups, feature effects, each also as a table. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model.card import CalibrationBin, Card, GroupFigures, ModelKind, ValueEffect
from model.card import Evaluation as CardEvaluation
from model.schema import Feature, FeatureKind
from web.pages.charts import PLOT, Line, PlotArea, Point, Tick, signed_bar
from web.pages.formatting import (
    format_multiplier,
    format_number,
    format_percent,
    format_significant,
    format_threshold,
    format_tick,
)
from web.pages.forms import format_value

_MAX_TICKS = 6
_ROC_ROWS = 21
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
DIAGONAL = ((0.0, 0.0), (1.0, 1.0))

RECALL = "Recall (true positive rate)"
FALSE_POSITIVE_RATE = "False positive rate"


@dataclass(frozen=True, slots=True)
class Plot:
    """A line chart and the same figures as a table; ``guide`` is the line of an ideal or a random model."""

    id: str
    title: str
    description: str
    x_title: str
    y_title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    header: list[str]
    rows: list[list[str]]
    guide: Line | None = None
    area: PlotArea = PLOT


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first cell of each row is its header."""

    id: str
    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class BarRow:
    """A row of a table with bars; ``bar`` is a length as ``charts.signed_bar`` makes it."""

    label: str
    amount: str
    bar: float


@dataclass(frozen=True, slots=True)
class FeatureEffects:
    """The effects of a feature's values; those of a number as a curve."""

    title: str
    range: str
    rows: list[BarRow]
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a page shows of a card's evaluation; empty parts are left out."""

    plots: list[Plot] = field(default_factory=list)
    confusion: Table | None = None
    groups: list[Table] = field(default_factory=list)
    effects: list[FeatureEffects] = field(default_factory=list)
    importance: list[BarRow] = field(default_factory=list)


def evaluation(card: Card) -> Evaluation:
    """Return what the page of a model shows of its evaluation."""
    measured = card.evaluation or CardEvaluation()
    plots = (_roc(measured), _calibration(card, measured.calibration), _thresholds(card, measured))
    return Evaluation(
        plots=[plot for plot in plots if plot],
        confusion=_confusion(card, measured) if measured.confusion else None,
        groups=[_group_table(card, *group, number) for number, group in enumerate(measured.groups.items(), 1)],
        effects=_all_effects(card),
        importance=_importance(card),
    )


def _roc(measured: CardEvaluation) -> Plot | None:
    points = [(point.false_positive_rate, point.true_positive_rate) for point in measured.roc]
    if not points:
        return None
    listed = [points[round(step * (len(points) - 1) / (_ROC_ROWS - 1))] for step in range(_ROC_ROWS)]
    return Plot(
        id="roc",
        title="ROC curve",
        description="Recall against the false positive rate. The closer the curve comes to the "
        "upper left corner, the better; the dashed line is a random model.",
        x_title=FALSE_POSITIVE_RATE,
        y_title=RECALL,
        x_ticks=share_ticks(PLOT.across),
        y_ticks=share_ticks(PLOT.up),
        lines=[PLOT.line(points)],
        guide=PLOT.line(DIAGONAL),
        header=[FALSE_POSITIVE_RATE, RECALL],
        rows=[[format_percent(x, 1), format_percent(y, 1)] for x, y in dict.fromkeys(listed)],
    )


def _calibration(card: Card, bins: Sequence[CalibrationBin]) -> Plot | None:
    if not bins:
        return None
    if card.kind is ModelKind.REGRESSOR:
        return _predicted_vs_actual(bins)
    return Plot(
        id="calibration",
        title="Calibration",
        description="Records grouped by predicted probability. On the dashed line, the observed frequency of the "
        "positive class equals the predicted probability.",
        x_title="Mean predicted probability",
        y_title="Observed frequency",
        x_ticks=share_ticks(PLOT.across),
        y_ticks=share_ticks(PLOT.up),
        lines=[PLOT.line([(bin_.predicted, bin_.observed) for bin_ in bins], dots=True)],
        guide=PLOT.line(DIAGONAL),
        header=["Mean predicted probability", "Observed frequency", "Rows"],
        rows=[
            [format_percent(bin_.predicted, 1), format_percent(bin_.observed, 1), format_number(bin_.rows)]
            for bin_ in bins
        ],
    )


def _predicted_vs_actual(bins: Sequence[CalibrationBin]) -> Plot:
    values = [value for bin_ in bins for value in (bin_.predicted, bin_.observed)]
    low, high = min(values), max(values)
    extent = (high - low) or 1.0
    ticks = [low + share * extent for share in _QUARTERS]
    points = [((bin_.predicted - low) / extent, (bin_.observed - low) / extent) for bin_ in bins]
    return Plot(
        id="calibration",
        title="Predicted vs. actual",
        description="Records grouped by prediction, a tenth in each group. On the dashed line, the mean prediction "
        "equals the mean actual value.",
        x_title="Mean prediction",
        y_title="Mean actual value",
        x_ticks=[(PLOT.across((tick - low) / extent), format_tick(tick)) for tick in ticks],
        y_ticks=[(PLOT.up((tick - low) / extent), format_tick(tick)) for tick in ticks],
        lines=[PLOT.line(points, dots=True)],
        guide=PLOT.line(DIAGONAL),
        header=["Mean prediction", "Mean actual value", "Rows"],
        rows=[
            [format_significant(bin_.predicted), format_significant(bin_.observed), format_number(bin_.rows)]
            for bin_ in bins
        ],
    )


def _thresholds(card: Card, measured: CardEvaluation) -> Plot | None:
    rows = measured.thresholds
    if not rows or card.threshold is None:
        return None
    precision = [(row.threshold, row.precision) for row in rows if row.precision is not None]
    recall = [(row.threshold, row.recall) for row in rows if row.recall is not None]
    return Plot(
        id="thresholds",
        title="Precision and recall by threshold",
        description="A higher threshold lowers recall and usually raises precision. The default threshold is "
        f"{format_threshold(card.threshold)}.",
        x_title="Threshold",
        y_title="Share",
        x_ticks=share_ticks(PLOT.across),
        y_ticks=share_ticks(PLOT.up),
        lines=[
            PLOT.line(recall, "Recall: share of actual positives that are predicted positive"),
            PLOT.line(precision, "Precision: share of predicted positives that are correct"),
            PLOT.line(
                [(row.threshold, row.accuracy) for row in rows], "Accuracy: share of all predictions that are correct"
            ),
        ],
        header=["Threshold", "Predicted positive", "Recall", "Precision", "Accuracy"],
        rows=[
            [
                format_threshold(row.threshold),
                *(format_percent(s, 1) for s in (row.predicted_positive, row.recall, row.precision, row.accuracy)),
            ]
            for row in rows
        ],
    )


def _confusion(card: Card, measured: CardEvaluation) -> Table:
    rows = [[name, *map(format_number, counts)] for name, counts in zip(card.classes, measured.confusion, strict=True)]
    header = ["Actual", *(f"Predicted {name}" for name in card.classes)]
    return Table("confusion", "Confusion matrix", header, rows)


def _group_table(card: Card, name: str, groups: dict[str, GroupFigures], number: int) -> Table:
    feature = next((feature for feature in card.features if feature.name == name), None)
    columns = _group_columns(card, list(groups.values()))
    rows = [
        [
            feature.labels.get(value, value) if feature else value,
            format_number(group.rows),
            *(_group_cell(card, getattr(group, column)) for column in columns),
        ]
        for value, group in groups.items()
    ]
    header = [feature.title if feature else name, "Rows", *columns.values()]
    return Table(f"group-{number}", f"By {header[0].lower()}", header, rows)


def _group_columns(card: Card, groups: Sequence[GroupFigures]) -> dict[str, str]:
    """Return the titles of the figures that at least one group has."""
    positive = card.positive_class
    titles = {
        "observed": f"Actual {positive}" if positive else "Mean actual value",
        "predicted": "Mean predicted probability" if positive else "Mean prediction",
        "predicted_positive": f"Predicted {positive}",
        "accuracy": "Accuracy",
        "true_positive_rate": RECALL,
        "false_positive_rate": FALSE_POSITIVE_RATE,
    }
    return {name: title for name, title in titles.items() if any(getattr(f, name) is not None for f in groups)}


def _group_cell(card: Card, value: float | None) -> str:
    if value is not None and card.kind is ModelKind.REGRESSOR:
        return format_significant(value)
    return format_percent(value, 1)


def _all_effects(card: Card) -> list[FeatureEffects]:
    """Return the effects of each feature, the one with the widest range first."""
    features = {feature.name: feature for feature in card.features}
    known = [(features[name], effects) for name, effects in card.effects.items() if name in features and effects]
    strongest = max((abs(effect.effect) for _, effects in known for effect in effects), default=0.0)
    known.sort(key=lambda pair: -_effect_range(pair[1]))
    return [_feature_effects(*pair, strongest, number) for number, pair in enumerate(known, 1)]


def _effect_range(effects: Sequence[ValueEffect]) -> float:
    return max(effect.effect for effect in effects) - min(effect.effect for effect in effects)


def _feature_effects(feature: Feature, effects: Sequence[ValueEffect], strongest: float, number: int) -> FeatureEffects:
    def describe(effect: ValueEffect) -> str:
        return f"{format_multiplier(effect.effect)} ({format_value(feature, effect.value)})"

    is_number = feature.kind is FeatureKind.NUMBER
    lowest, highest = (pick(effects, key=lambda effect: effect.effect) for pick in (min, max))
    order = effects if is_number else sorted(effects, key=lambda effect: -effect.effect)
    rows = [
        BarRow(format_value(feature, e.value), format_multiplier(e.effect), signed_bar(e.effect, strongest))
        for e in order
    ]
    plot = _effect_plot(feature, effects, number) if is_number else None
    return FeatureEffects(feature.title, f"{describe(lowest)} to {describe(highest)}", rows, plot)


def _effect_plot(feature: Feature, effects: Sequence[ValueEffect], number: int) -> Plot | None:
    points = [(float(effect.value), effect.effect) for effect in effects if isinstance(effect.value, int | float)]
    if len(points) < 2:
        return None
    left, right = points[0][0], points[-1][0]
    low, high = min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points))
    width, height = (right - left) or 1.0, (high - low) or 1.0

    def scaled(x: float, y: float) -> Point:
        return (x - left) / width, (y - low) / height

    values = [left + share * width for share in _QUARTERS]
    if feature.integer:
        values = [float(round(value)) for value in values]
    return Plot(
        id=f"effect-{number}",
        title=f"{feature.title}: odds multiplier relative to the average training record",
        description="",
        x_title=" in ".join(filter(None, (feature.title, feature.unit))),
        y_title="Odds multiplier",
        x_ticks=[(PLOT.across((value - left) / width), format_tick(value)) for value in values],
        y_ticks=[(PLOT.up((tick - low) / height), format_multiplier(tick)) for tick in _odds_ticks(low, high)],
        lines=[PLOT.line([scaled(*point) for point in points])],
        guide=PLOT.line([scaled(left, 0.0), scaled(right, 0.0)]),
        header=[feature.title, "Odds multiplier"],
        rows=[[format_value(feature, x), format_multiplier(y)] for x, y in points],
    )


def _odds_ticks(low: float, high: float) -> list[float]:
    """Return log-odds whose odds multipliers are powers of two, every second, third, … of them where there are many."""
    first, last = math.ceil(low / math.log(2)), math.floor(high / math.log(2))
    step = max(1, math.ceil((last - first + 1) / _MAX_TICKS))
    return [power * math.log(2) for power in range(first, last + 1) if power % step == 0]


def _importance(card: Card) -> list[BarRow]:
    titles = {feature.name: feature.title for feature in card.features}
    largest = max(card.importance.values(), default=0.0)
    order = sorted(card.importance.items(), key=lambda item: -item[1])
    return [
        BarRow(titles.get(name, name), f"{drop:.4f}", signed_bar(max(drop, 0.0), max(largest, 0.0)))
        for name, drop in order
    ]


def share_ticks(position: Callable[[float], float]) -> list[Tick]:
    """Return the ticks of an axis of shares."""
    return [(position(share), format_percent(share)) for share in _QUARTERS]
