"""Data drift as the page of a job shows it: its feature values compared with the training data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.card import Card
from model.monitoring.drift import Bin, FeatureDrift, Verdict, joint_drift
from web.pages.charts import DRIFT, Rectangle
from web.pages.formatting import format_number, format_small_percent

_GAP = 0.15
# The most frequent categories are drawn, all others as one.
_MAX_BARS = 12
# From this share on, rejected values are reported at the top.
_MANY_REJECTED = 0.05
_ORDER = (Verdict.FAR, Verdict.SOME, Verdict.UNCLEAR, Verdict.STABLE)


@dataclass(frozen=True, slots=True)
class BarPair:
    """A bin of values with its bars for the training data and for the file."""

    bin: Bin
    training: Rectangle
    file: Rectangle


@dataclass(frozen=True, slots=True)
class DriftChart:
    """The values of a feature in the file and in training; ``alarms`` and ``notes`` are sentences."""

    name: str
    title: str
    verdict: Verdict
    summary: str
    psi: float
    alarms: list[str]
    notes: list[str]
    pairs: list[BarPair]


def drift_charts(cards: Sequence[Card | None], counts: Mapping[str, int]) -> list[DriftChart]:
    """Return a chart per feature, the largest drift first; none if the counts or the cards say nothing of drift."""
    titles = {feature.name: feature.title for card in cards[::-1] if card for feature in card.features}
    drifts = joint_drift([card for card in cards if card], counts) or {}
    charts = [_chart(name, titles[name], drift) for name, drift in drifts.items()]
    return sorted(charts, key=lambda chart: (_ORDER.index(chart.verdict), -chart.psi))


def _chart(name: str, title: str, drift: FeatureDrift) -> DriftChart:
    alarms = [drift.words] if drift.verdict in (Verdict.SOME, Verdict.FAR) else []
    if drift.rejected >= _MANY_REJECTED:
        alarms.append(f"{title} is rejected in {format_small_percent(drift.rejected)} of the rows.")
    return DriftChart(name, title, drift.verdict, drift.words, drift.psi, alarms, _notes(drift), _pairs(drift.bins))


def _notes(drift: FeatureDrift) -> list[str]:
    notes = []
    if drift.rejected:
        notes.append(f"Rejected: {format_small_percent(drift.rejected)} of the rows.")
    if drift.missing or drift.training_missing:
        missing, in_training = format_small_percent(drift.missing), format_small_percent(drift.training_missing)
        notes.append(f"Missing: {missing} of the rows, {in_training} in training.")
    if drift.outside:
        notes.append(f"Outside the allowed or trained range: {format_small_percent(drift.outside)} of the rows.")
    if drift.unseen:
        notes.append(f"Unknown category: {format_number(drift.unseen)} {'row' if drift.unseen == 1 else 'rows'}.")
    if drift.absent:
        notes.append(f"In training but not in this file: {', '.join(drift.absent)}.")
    if drift.rare:
        notes.append(f"Much rarer than in training: {', '.join(drift.rare)}.")
    return notes


def _pairs(bins: list[Bin]) -> list[BarPair]:
    drawn = _merge_rare_bins(bins)
    largest = max((max(bin_.training, bin_.file) for bin_ in drawn), default=0.0) or 1.0
    step = DRIFT.width / max(len(drawn), 1)
    width = step * (0.5 - _GAP)
    return [
        BarPair(
            bin_,
            training=DRIFT.bar(bin_.training, largest, (index + _GAP) * step, width),
            file=DRIFT.bar(bin_.file, largest, (index + 0.5) * step, width),
        )
        for index, bin_ in enumerate(drawn)
    ]


def _merge_rare_bins(bins: list[Bin]) -> list[Bin]:
    """Return the bins in their order; where there are too many, the rarest are merged into a last one."""
    if len(bins) <= _MAX_BARS:
        return bins
    kept = sorted(bins, key=lambda bin_: -max(bin_.training, bin_.file))[: _MAX_BARS - 1]
    others = [bin_ for bin_ in bins if bin_ not in kept]
    rest = Bin(f"{len(others)} others", sum(bin_.training for bin_ in others), sum(bin_.file for bin_ in others))
    return [*(bin_ for bin_ in bins if bin_ in kept), rest]
