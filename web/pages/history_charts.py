"""The charts of the history page: a model's rows, predictions, rejects and drift by week. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta

from model.card import Card
from model.monitoring.counts import PREDICTION
from model.monitoring.drift import FAR, SOME, drift
from web.pages.charts import PLOT, Line, Point, Tick
from web.pages.evaluation import Plot
from web.pages.formatting import format_number, format_percent, format_percent_tick, format_tick

Counts = Mapping[str, int]
CountsByWeek = Mapping[tuple[date, str], Counts]
"""Counts of a model by week and version, see ``database.history.weekly_counts``."""

_MAX_LINES = 3
_WEEK = timedelta(days=7)
_ROWS, _SINGLE, _REJECTED = "rows", "single", "rejected"


def week_text(week: date) -> str:
    """Return the Monday of a week: ``2 Nov 2026``."""
    return f"{week.day} {week:%b %Y}"


def plots(counts: CountsByWeek, card_of: Callable[[str], Card | None]) -> list[Plot]:
    """Return the charts of one model; ``card_of`` returns the card of a version."""
    by_week: dict[date, Counter[str]] = {}
    for (week, _), named in counts.items():
        by_week.setdefault(week, Counter()).update(named)
    if not by_week:
        return []
    weeks = all_weeks(by_week)
    found = [_rows(weeks, by_week), _predictions(weeks, by_week), _rejects(weeks, by_week)]
    return [plot for plot in (*found, _drift(weeks, counts, card_of)) if plot]


def drift_plot(counts: CountsByWeek, card_of: Callable[[str], Card | None]) -> Plot | None:
    """Return the chart of the features that drift most; None without data."""
    weeks = {week for week, _ in counts}
    return _drift(all_weeks(weeks), counts, card_of) if weeks else None


def all_weeks(weeks: Iterable[date]) -> list[date]:
    """Return the weeks from the first to the last, those without entries too."""
    first, last = min(weeks), max(weeks)
    return [first + number * _WEEK for number in range((last - first).days // 7 + 1)]


def _rows(weeks: Sequence[date], by_week: Mapping[date, Counter[str]]) -> Plot:
    series = {
        "Rows of files": {week: float(named[_ROWS] + named[_REJECTED]) for week, named in by_week.items()},
        "Single predictions": {week: float(named[_SINGLE]) for week, named in by_week.items()},
    }
    used = {name: values for name, values in series.items() if any(values.values())}
    used = {name: {week: values.get(week, 0.0) for week in weeks} for name, values in used.items()}
    return weekly_plot("rows", "Records per week", "", weeks, used, format_number, y_format=format_tick, least=2)


def _predictions(weeks: Sequence[date], by_week: Mapping[date, Counter[str]]) -> Plot | None:
    labels: dict[date, Counter[str]] = {
        week: Counter({n.partition(":")[2]: c for n, c in named.items() if n.startswith(f"{PREDICTION}:")})
        for week, named in by_week.items()
    }
    total = sum(labels.values(), Counter())
    # Of several targets each has its own shares, which one chart cannot show.
    if not total or len(total) < 2 or any(sum(c.values()) > _predicted(by_week[w]) for w, c in labels.items()):
        return None
    series = {
        label: {week: counts[label] / counts.total() for week, counts in labels.items() if counts}
        for label, _ in total.most_common(_MAX_LINES)
    }
    more = len(total) - len(series)
    note = f"The {_MAX_LINES} most frequent of {len(total)} predictions." if more > 0 else ""
    title = "Share of each prediction"
    return weekly_plot("predictions", title, note, weeks, series, _percent, y_format=format_percent_tick)


def _predicted(named: Counter[str]) -> int:
    return named[_ROWS] + named[_SINGLE]


def _rejects(weeks: Sequence[date], by_week: Mapping[date, Counter[str]]) -> Plot | None:
    shares = {
        week: named[_REJECTED] / (named[_ROWS] + named[_REJECTED])
        for week, named in by_week.items()
        if named[_ROWS] + named[_REJECTED]
    }
    if not shares:
        return None
    series, note = {"Rejected": shares}, "Share of the rows of files."
    title, ticks = "Rejected rows", format_percent_tick
    return weekly_plot("rejects", title, note, weeks, series, _percent, y_format=ticks, least=0.01)


def _drift(weeks: Sequence[date], counts: CountsByWeek, card_of: Callable[[str], Card | None]) -> Plot | None:
    """Return the chart of the features that drift most. Of several versions in a week, that with most rows counts."""
    main: dict[date, tuple[str, Counts]] = {}
    for (week, version), named in counts.items():
        if week not in main or named.get(_ROWS, 0) > main[week][1].get(_ROWS, 0):
            main[week] = (version, named)
    series: dict[str, dict[date, float]] = {}
    for week, (version, named) in main.items():
        card = card_of(version)
        titles = {feature.name: feature.title for feature in card.features} if card else {}
        for name, measured in ((drift(card, named) or {}) if card else {}).items():
            series.setdefault(titles[name], {})[week] = measured.psi
    if not series:
        return None
    largest = sorted(series, key=lambda title: -max(series[title].values()))[:_MAX_LINES]
    note = (
        "Population stability index of the features that differ most from the training data: "
        f"from {SOME} moderate drift, from {FAR} strong drift (dashed)."
    )
    return weekly_plot("drift", "Data drift", note, weeks, {title: series[title] for title in largest}, _psi, guide=FAR)


def _percent(share: float) -> str:
    return format_percent(share, 1)


def _rounded_up(value: float) -> float:
    """Return the next number with a single digit of 1, 2 or 5, which is that of an axis; 1 for 0."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((digit * power for digit in (1, 2, 5) if digit * power >= value), 10 * power)


def _psi(value: float) -> str:
    return f"{value:.2f}"


def weekly_plot(
    name: str,
    title: str,
    description: str,
    weeks: Sequence[date],
    series: Mapping[str, Mapping[date, float]],
    value_format: Callable[[float], str],
    *,
    y_format: Callable[[float], str] | None = None,
    guide: float | None = None,
    least: float = 0.0,
) -> Plot:
    """Return a line chart over the weeks; a week without a value has no point. The axis ends at ``least`` or above."""
    values = [value for line in series.values() for value in line.values()]
    largest = _rounded_up(max([*values, guide or 0.0, least]))
    places = {week: (number / (len(weeks) - 1) if len(weeks) > 1 else 0.5) for number, week in enumerate(weeks)}

    def line(label: str, by_week: Mapping[date, float]) -> Line:
        points: list[Point] = [(places[week], by_week[week] / largest) for week in weeks if week in by_week]
        return PLOT.line(points, label, dots=True)

    ticks: list[Tick] = [(PLOT.up(step / 4), (y_format or value_format)(largest * step / 4)) for step in (0, 2, 4)]
    return Plot(
        id=f"weekly-{name}",
        title=title,
        description=description,
        x_title="Week from",
        y_title="",
        x_ticks=[(PLOT.across(places[week]), week_text(week)) for week in dict.fromkeys((weeks[0], weeks[-1]))],
        y_ticks=ticks,
        lines=[line(label, by_week) for label, by_week in series.items()],
        guide=PLOT.line([(0, guide / largest), (1, guide / largest)]) if guide else None,
        header=["Week from", *series],
        rows=[
            [week_text(week), *(value_format(line[week]) if week in line else "" for line in series.values())]
            for week in reversed(weeks)
        ],
    )
