"""What the page of a job draws of its values beside those of the training data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.card import Card
from model.monitoring.drift import Bin, FeatureDrift, Verdict, joint_drift
from web.pages.formatting import grouped, percent

WIDTH, HEIGHT = 300, 80
_GAP = 0.15
# Of more categories, the most frequent are drawn and the rest as one.
_MAX_BARS = 12
# A bin with any rows at all is seen.
_LEAST_HEIGHT = 1
# From that share of rejected values on, it is said first.
_MANY_REJECTED = 0.05
# Far first, stable last.
_ORDER = (Verdict.FAR, Verdict.SOME, Verdict.UNCLEAR, Verdict.STABLE)


@dataclass(frozen=True, slots=True)
class Bar:
    """One of a pair of bars: a share, and the rectangle that shows it."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A bin of values with its bars in training and in the file."""

    bin: Bin
    training: Bar
    file: Bar


@dataclass(frozen=True, slots=True)
class DriftChart:
    """A feature's values in the file beside those in training: its verdict in words, notes, and pairs of bars.

    `alarms` are what must not be overlooked, each a sentence.
    """

    name: str
    title: str
    verdict: Verdict
    words: str
    psi: float
    alarms: list[str]
    notes: list[str]
    pairs: list[Pair]


def drift_charts(cards: Sequence[Card | None], counts: Mapping[str, int]) -> list[DriftChart]:
    """What is drawn of the counts of a job's summary, what differs most first; nothing where that is not known."""
    titles = {feature.name: feature.title for card in cards[::-1] if card for feature in card.features}
    found = joint_drift([card for card in cards if card], counts) or {}
    charts = [_chart(name, titles[name], feature) for name, feature in found.items()]
    return sorted(charts, key=lambda chart: (_ORDER.index(chart.verdict), -chart.psi))


def _chart(name: str, title: str, found: FeatureDrift) -> DriftChart:
    alarms = [found.words] if found.verdict in (Verdict.SOME, Verdict.FAR) else []
    if found.rejected >= _MANY_REJECTED:
        alarms.append(f"{title} is rejected in {_share(found.rejected)} of the rows.")
    return DriftChart(name, title, found.verdict, found.words, found.psi, alarms, _notes(found), _pairs(found.bins))


def _notes(found: FeatureDrift) -> list[str]:
    """What else is to be said of the values, each a sentence."""
    notes = []
    if found.rejected:
        notes.append(f"Rejected in {_share(found.rejected)} of the rows.")
    if found.missing or found.training_missing:
        notes.append(
            f"Missing in {_share(found.missing)} of the rows; in training in {_share(found.training_missing)}."
        )
    if found.outside:
        notes.append(
            f"Out of the range that is allowed or was seen in training in {_share(found.outside)} of the rows."
        )
    if found.unseen:
        notes.append(f"{grouped(found.unseen)} {'row has' if found.unseen == 1 else 'rows have'} an unknown category.")
    if found.absent:
        notes.append(f"In training, but not in this file: {', '.join(found.absent)}.")
    if found.rare:
        notes.append(f"Much rarer than in training: {', '.join(found.rare)}.")
    return notes


def _share(share: float) -> str:
    return "under 0.1%" if 0 < share < 0.001 else percent(share, 1)


def _pairs(bins: list[Bin]) -> list[Pair]:
    shown = _fewer(bins)
    highest = max((max(part.training, part.file) for part in shown), default=0.0) or 1.0
    step = WIDTH / max(len(shown), 1)
    width = round(step * (0.5 - _GAP), 1)

    def bar(share: float, x: float) -> Bar:
        height = max(_LEAST_HEIGHT, round(HEIGHT * share / highest, 1)) if share else 0
        return Bar(round(x, 1), round(HEIGHT - height, 1), width, height)

    return [
        Pair(part, bar(part.training, (place + _GAP) * step), bar(part.file, (place + 0.5) * step))
        for place, part in enumerate(shown)
    ]


def _fewer(bins: list[Bin]) -> list[Bin]:
    """The bins, in their order; of many, the rarest as one."""
    if len(bins) <= _MAX_BARS:
        return bins
    kept = sorted(bins, key=lambda part: -max(part.training, part.file))[: _MAX_BARS - 1]
    others = [part for part in bins if part not in kept]
    rest = Bin(f"{len(others)} others", sum(part.training for part in others), sum(part.file for part in others))
    return [*(part for part in bins if part in kept), rest]
