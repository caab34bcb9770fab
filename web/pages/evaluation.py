"""What the page of a model draws of its card: curves, calibration, groups, effects. Each also as a table. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from model.card import CalibrationBin, Card, Evaluation, GroupFigures, ModelKind, ValueEffect
from model.schema import Feature, FeatureKind
from web.pages.formatting import factor, grouped, grouped_digits, percent
from web.pages.forms import value_in_words

# Of the drawing, in its own units: the area in which lines run, with room for words around it.
LEFT, RIGHT, TOP, BOTTOM = 64.0, 470.0, 34.0, 280.0
_MAX_TICKS = 6
_ROC_ROWS = 21
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through `points`, given in the drawing's units; `dots`: whether they are marked; `name` if several."""

    name: str | None
    points: list[Point]
    dots: bool = False

    @property
    def path(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart of lines, with the same figures as a table; ticks are places in the drawing's units with their words.

    `guide`: the line of what would be ideal or mere chance.
    """

    id: str
    title: str
    words: str
    x_title: str
    y_title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    header: list[str]
    rows: list[list[str]]
    guide: Line | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; the first cell of each row is its head."""

    id: str
    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A value of a feature and what it does: `odds` as a factor, `bar` from -100 to 100."""

    value: str
    odds: str
    bar: float


@dataclass(frozen=True, slots=True)
class FeatureEffects:
    """What the values of a feature do; a number has a curve."""

    title: str
    words: str
    rows: list[EffectRow]
    plot: Plot | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a card says about how its model does; empty parts are not shown."""

    plots: list[Plot] = field(default_factory=list)
    confusion: Table | None = None
    groups: list[Table] = field(default_factory=list)
    effects: list[FeatureEffects] = field(default_factory=list)
    importance: list[EffectRow] = field(default_factory=list)


def evidence(card: Card) -> Evidence:
    """What the page draws of a card."""
    found = card.evaluation or Evaluation()
    plots = (_roc(found), _calibration(card, found.calibration), _thresholds(card, found))
    return Evidence(
        plots=[plot for plot in plots if plot],
        confusion=_confusion(card, found) if found.confusion else None,
        groups=[_group_table(card, *group, place) for place, group in enumerate(found.groups.items(), 1)],
        effects=_all_effects(card),
        importance=_importance(card),
    )


def _roc(found: Evaluation) -> Plot | None:
    points = [(point.false_positive_rate, point.true_positive_rate) for point in found.roc]
    if not points:
        return None
    shown = [points[round(place * (len(points) - 1) / (_ROC_ROWS - 1))] for place in range(_ROC_ROWS)]
    return Plot(
        id="roc",
        title="How well it sorts (ROC curve)",
        words="To find more of the positive records, more of the others have to be taken for positive as well. "
        "The further the curve bends to the upper left, the better; the dashed line is chance.",
        x_title="False alarms: share of the others",
        y_title="Found: share of the positive records",
        x_ticks=_share_ticks(_across),
        y_ticks=_share_ticks(_up),
        lines=[_line(None, points)],
        guide=_line(None, [(0, 0), (1, 1)]),
        header=["False alarms", "Found"],
        rows=[[percent(x, 1), percent(y, 1)] for x, y in dict.fromkeys(shown)],
    )


def _calibration(card: Card, bins: Sequence[CalibrationBin]) -> Plot | None:
    if not bins:
        return None
    if card.kind is ModelKind.REGRESSOR:
        return _predicted_and_actual(bins)
    return Plot(
        id="calibration",
        title="Can the probability be taken at its word?",
        words="Records with similar probabilities together: on the dashed line, as many of them are positive as the "
        "probability says.",
        x_title="Mean probability",
        y_title="Share that is positive",
        x_ticks=_share_ticks(_across),
        y_ticks=_share_ticks(_up),
        lines=[_line(None, [(part.predicted, part.observed) for part in bins], dots=True)],
        guide=_line(None, [(0, 0), (1, 1)]),
        header=["Mean probability", "Share that is positive", "Rows"],
        rows=[[percent(part.predicted, 1), percent(part.observed, 1), grouped(part.rows)] for part in bins],
    )


def _predicted_and_actual(bins: Sequence[CalibrationBin]) -> Plot:
    ends = [value for part in bins for value in (part.predicted, part.observed)]
    low, high = min(ends), max(ends)
    size = (high - low) or 1.0
    ticks = [low + share * size for share in _QUARTERS]
    return Plot(
        id="calibration",
        title="What it predicts and what is so",
        words="Records with similar predictions together, a tenth of all each: on the dashed line, what is so is on "
        "average what was predicted.",
        x_title="Mean prediction",
        y_title="Mean of what is so",
        x_ticks=[(_across((tick - low) / size), _short(tick)) for tick in ticks],
        y_ticks=[(_up((tick - low) / size), _short(tick)) for tick in ticks],
        lines=[_line(None, [((p.predicted - low) / size, (p.observed - low) / size) for p in bins], dots=True)],
        guide=_line(None, [(0, 0), (1, 1)]),
        header=["Mean prediction", "Mean of what is so", "Rows"],
        rows=[[grouped_digits(part.predicted), grouped_digits(part.observed), grouped(part.rows)] for part in bins],
    )


def _thresholds(card: Card, found: Evaluation) -> Plot | None:
    rows = found.thresholds
    if not rows or card.threshold is None:
        return None
    precision = [(row.threshold, row.precision) for row in rows if row.precision is not None]
    recall = [(row.threshold, row.recall) for row in rows if row.recall is not None]
    return Plot(
        id="thresholds",
        title="What another threshold would do",
        words=f"A higher threshold finds fewer of the positive records, but more of those that it names are right. The "
        f"model's own is {percent(card.threshold)}.",
        x_title="Threshold",
        y_title="Share",
        x_ticks=_share_ticks(_across),
        y_ticks=_share_ticks(_up),
        lines=[
            _line("Found, of the positive records (recall)", recall),
            _line("Right, of those named positive (precision)", precision),
            _line("Right, of all records (accuracy)", [(row.threshold, row.accuracy) for row in rows]),
        ],
        header=["Threshold", "Named positive", "Found", "Right, of those named", "Right, of all"],
        rows=[
            [percent(row.threshold), *map(_share, (row.predicted_positive, row.recall, row.precision, row.accuracy))]
            for row in rows
        ],
    )


def _confusion(card: Card, found: Evaluation) -> Table:
    rows = [[name, *map(grouped, counts)] for name, counts in zip(card.classes, found.confusion, strict=True)]
    return Table("confusion", "What is so, and what it predicts", ["Is", *card.classes], rows)


def _group_table(card: Card, name: str, figures: dict[str, GroupFigures], place: int) -> Table:
    feature = next((feature for feature in card.features if feature.name == name), None)
    columns = _group_columns(card, list(figures.values()))
    rows = [
        [
            (feature.labels.get(value, value) if feature else value),
            grouped(group.rows),
            *(_group_cell(card, getattr(group, column)) for column in columns),
        ]
        for value, group in figures.items()
    ]
    header = [feature.title if feature else name, "Rows", *columns.values()]
    return Table(f"group-{place}", f"By {header[0].lower()}", header, rows)


def _group_columns(card: Card, figures: Sequence[GroupFigures]) -> dict[str, str]:
    """Titles of the figures that at least one group has."""
    positive = card.positive_class
    titles = {
        "observed": f"Really {positive}" if positive else "Mean of what is so",
        "predicted": "Mean probability" if positive else "Mean prediction",
        "predicted_positive": f"Predicted {positive}",
        "accuracy": "Right",
        "true_positive_rate": "Found",
        "false_positive_rate": "False alarms",
    }
    return {name: title for name, title in titles.items() if any(getattr(f, name) is not None for f in figures)}


def _group_cell(card: Card, value: float | None) -> str:
    return grouped_digits(value) if card.kind is ModelKind.REGRESSOR and value is not None else _share(value)


def _all_effects(card: Card) -> list[FeatureEffects]:
    """The effects of each feature, those that move the prediction furthest first."""
    features = {feature.name: feature for feature in card.features}
    found = [(features[name], effects) for name, effects in card.effects.items() if name in features and effects]
    strongest = max((abs(effect.effect) for _, effects in found for effect in effects), default=0.0) or 1.0
    found.sort(key=lambda pair: -_reach(pair[1]))
    return [_feature_effects(*pair, strongest, place) for place, pair in enumerate(found, 1)]


def _reach(effects: Sequence[ValueEffect]) -> float:
    return max(effect.effect for effect in effects) - min(effect.effect for effect in effects)


def _feature_effects(feature: Feature, effects: Sequence[ValueEffect], strongest: float, place: int) -> FeatureEffects:
    def in_words(effect: ValueEffect) -> str:
        return f"{factor(effect.effect)} ({value_in_words(feature, effect.value)})"

    is_number = feature.kind is FeatureKind.NUMBER
    lowest, highest = (pick(effects, key=lambda effect: effect.effect) for pick in (min, max))
    order = effects if is_number else sorted(effects, key=lambda effect: -effect.effect)
    rows = [
        EffectRow(value_in_words(feature, e.value), factor(e.effect), round(100 * e.effect / strongest, 1))
        for e in order
    ]
    plot = _effect_plot(feature, effects, place) if is_number else None
    return FeatureEffects(feature.title, f"{in_words(lowest)} to {in_words(highest)}", rows, plot)


def _effect_plot(feature: Feature, effects: Sequence[ValueEffect], place: int) -> Plot | None:
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
    odds = _doublings(low, high)
    return Plot(
        id=f"effect-{place}",
        title=f"{feature.title}: the odds, compared with the average record",
        words="",
        x_title=" in ".join(filter(None, (feature.title, feature.unit))),
        y_title="Odds",
        x_ticks=[(_across((value - left) / width), _short(value)) for value in values],
        y_ticks=[(_up((tick - low) / height), factor(tick)) for tick in odds],
        lines=[_line(None, [scaled(*point) for point in points])],
        guide=_line(None, [scaled(left, 0.0), scaled(right, 0.0)]),
        header=[feature.title, "Odds"],
        rows=[[value_in_words(feature, x), factor(y)] for x, y in points],
    )


def _doublings(low: float, high: float) -> list[float]:
    """Log-odds of doubled or halved odds, or powers of that, so that there are few."""
    first, last = math.ceil(low / math.log(2)), math.floor(high / math.log(2))
    step = max(1, math.ceil((last - first + 1) / _MAX_TICKS))
    return [power * math.log(2) for power in range(first, last + 1) if power % step == 0]


def _importance(card: Card) -> list[EffectRow]:
    titles = {feature.name: feature.title for feature in card.features}
    most = max(card.importance.values(), default=0.0)
    order = sorted(card.importance.items(), key=lambda item: -item[1])
    return [
        EffectRow(titles.get(name, name), f"{drop:.4f}", round(100 * max(drop, 0.0) / most, 1) if most > 0 else 0.0)
        for name, drop in order
    ]


def _line(name: str | None, points: Sequence[Point], dots: bool = False) -> Line:
    """A line through points whose coordinates are shares of the area, clipped to it."""
    return Line(name, [(_across(x), _up(y)) for x, y in points], dots)


def _across(share: float) -> float:
    return round(LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT), 1)


def _up(share: float) -> float:
    return round(BOTTOM - min(max(share, 0.0), 1.0) * (BOTTOM - TOP), 1)


def _share_ticks(place: Callable[[float], float]) -> list[Tick]:
    return [(place(share), percent(share)) for share in _QUARTERS]


def _share(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else percent(value, 1)


def _short(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
