"""Whether a file is like the training data: the values of each feature, counted in the bins of the card's summary.

Pure, and without numpy, since the web process loads it. The workers count, chunk by chunk; counts of chunks add up.

The measure is the population stability index, PSI (N. Siddiqi, Credit Risk Scorecards, Wiley 2006, with its limits 0.1
and 0.25): the sum over the bins of (q - p) ln(q / p), p being the bin's share of the training records and q that of the
file's. What chance alone makes of it is known (B. Yurdakul, Statistical Properties of Population Stability Index,
Western Michigan University 2018): divided by 1/n + 1/m, of n and m records, it is a chi-square with bins - 1 degrees of
freedom. What is not above the 95 % quantile of that says nothing, as in a file of a few rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from model.card import Card, FeatureSummary
from model.schema import FaultCode, Feature

SOME, FAR = 0.1, 0.25
BELOW, ABOVE, OTHER, ANY, MISSING = "below", "above", "other", "any", "missing"

# Half a record more in each bin of the training data: the usual remedy for bins that had none (Jeffreys' prior).
_TRAINING_PRIOR = 0.5
# One record more in the file, spread as in training: it keeps logarithms finite, and moves no file away from it.
_FILE_PRIOR = 1.0
_NORMAL_95 = 1.645
# A category counts as absent or rare where that many rows were to be expected: with fewer, it may be chance.
_EXPECTED_ROWS = 5
_RARE = 0.2
# Means that differ by less, in standard deviations of the training data, are called neither higher nor lower.
_SAME_MEAN = 0.1
# Shares that differ by less are not worth a word.
_WORTH_A_WORD = 0.05


class Verdict(StrEnum):
    """How far a feature's values in a file are from those in training; ``unclear`` where it has too few rows to tell."""

    STABLE = "stable"
    SOME = "some"
    FAR = "far"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of values in words, with its share, of 0..1, of the training records and of the file's valid ones."""

    label: str
    training: float
    file: float


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How one feature's values in a file differ from those in training.

    ``rows`` are those whose record could be read. ``missing`` and ``training_missing`` are shares of them and of the training
    records, ``rejected`` of those whose value was rejected, ``outside`` of those whose number is out of the range allowed
    or seen in training. ``unseen`` counts values that are no category of the training data; ``absent`` and ``rare`` are
    categories of it that do not occur, or in less than a fifth of their share there, though five rows or more were to
    be expected.
    """

    psi: float
    verdict: Verdict
    words: str
    rows: int
    missing: float
    training_missing: float
    rejected: float
    outside: float
    unseen: int
    bins: list[Bin]
    absent: list[str] = field(default_factory=list)
    rare: list[str] = field(default_factory=list)


def bin_names(summary: FeatureSummary) -> list[str]:
    """The names of the bins in which a feature's values are counted, in order: one for each bin of its histogram or
    each of its categories, then what lies outside of them, then missing ones."""
    if summary.histogram:
        return [*map(str, range(len(summary.histogram.counts))), BELOW, ABOVE, MISSING]
    if summary.counts is not None:
        return [*map(str, range(len(summary.counts))), OTHER, MISSING]
    return [ANY, MISSING]


def count_name(feature: str, name: str) -> str:
    """The name under which the values of a feature in one bin are counted in a job's summary."""
    return f"drift:{feature}:{name}"


def drift(card: Card, counts: Mapping[str, int]) -> dict[str, FeatureDrift] | None:
    """How a file differs from the training data, by feature; None where the card has no summary.

    ``counts`` are those of a job's summary; a feature of which nothing was counted is left out.
    """
    if not card.summary:
        return None
    found = {}
    for feature in card.features:
        summary = card.summary.get(feature.name)
        seen = _seen(feature, summary, counts) if summary else None
        if summary and seen and seen.rows:
            found[feature.name] = _drift_of(feature, summary, seen)
    return found


def joint_drift(cards: Sequence[Card], counts: Mapping[str, int]) -> dict[str, FeatureDrift] | None:
    """The same for several models: each feature is compared with the training data of the first that knows it."""
    known = [found for card in cards if (found := drift(card, counts)) is not None]
    if not known:
        return None
    return known[0] | {name: feature for found in known[1:] for name, feature in found.items() if name not in known[0]}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was counted of a feature: valid values by bin, as ``bin_names`` orders them, and faults by code."""

    bins: list[int]
    faults: dict[str, int]

    @property
    def valid(self) -> int:
        return sum(self.bins)

    @property
    def rows(self) -> int:
        return self.valid + sum(self.faults.values())

    @property
    def missing(self) -> int:
        return self.bins[-1] + self.faults.get(FaultCode.MISSING, 0)


def _seen(feature: Feature, summary: FeatureSummary, counts: Mapping[str, int]) -> _Seen:
    bins = [counts.get(count_name(feature.name, name), 0) for name in bin_names(summary)]
    faults = {code.value: counts.get(f"fault:{code}:{feature.name}", 0) for code in FaultCode}
    return _Seen(bins, faults)


def _drift_of(feature: Feature, summary: FeatureSummary, seen: _Seen) -> FeatureDrift:
    trained = _training_bins(summary)
    training_shares, file_shares = _shares(trained), _shares(seen.bins)
    psi = _psi(trained, seen.bins)
    verdict = _verdict(psi, trained, seen.bins)
    outside = sum(seen.bins[-3:-1]) + seen.faults[FaultCode.OUT_OF_RANGE] if summary.histogram else 0
    other = seen.bins[-2] if summary.counts is not None else 0
    bins = [Bin(*parts) for parts in zip(_labels(feature, summary), training_shares, file_shares, strict=True)]
    absent, rare = _seldom(summary, trained, seen.bins)
    return FeatureDrift(
        psi=round(psi, 4),
        verdict=verdict,
        words=_words(feature, summary, verdict, bins, _moved(summary, trained, seen.bins)),
        rows=seen.rows,
        missing=seen.missing / seen.rows,
        training_missing=training_shares[-1],
        rejected=sum(seen.faults.values()) / seen.rows,
        outside=outside / seen.rows,
        unseen=other + seen.faults[FaultCode.UNKNOWN_CATEGORY],
        bins=[part for part in bins if part.training or part.file],
        absent=absent,
        rare=rare,
    )


def _training_bins(summary: FeatureSummary) -> list[int]:
    """The training records by bin, in the order of ``bin_names``."""
    if summary.histogram:
        return [*summary.histogram.counts, 0, 0, summary.missing]
    if summary.counts is not None:
        return [*summary.counts.values(), 0, summary.missing]
    return [0, summary.missing]


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _psi(trained: Sequence[int], seen: Sequence[int]) -> float:
    used = [(m, n) for m, n in zip(trained, seen, strict=True) if m or n]
    trained_total = sum(m for m, _ in used) + _TRAINING_PRIOR * len(used)
    seen_total = sum(n for _, n in used) + _FILE_PRIOR
    index = 0.0
    for m, n in used:
        p = (m + _TRAINING_PRIOR) / trained_total
        q = (n + _FILE_PRIOR * p) / seen_total
        index += (q - p) * math.log(q / p)
    return index


def _verdict(psi: float, trained: Sequence[int], seen: Sequence[int]) -> Verdict:
    if psi < SOME and any(seen):
        return Verdict.STABLE
    bins = sum(1 for counts in zip(trained, seen, strict=True) if any(counts))
    by_chance = _chi_square_95(bins - 1) * (1 / max(sum(trained), 1) + 1 / max(sum(seen), 1))
    if psi <= by_chance:
        return Verdict.UNCLEAR
    return Verdict.SOME if psi < FAR else Verdict.FAR


def _chi_square_95(degrees: int) -> float:
    """The 95 % quantile, by the approximation of Wilson and Hilferty (1931), good to 1 % or so."""
    if degrees < 1:
        return 0.0
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + _NORMAL_95 * math.sqrt(spread)) ** 3)


def _labels(feature: Feature, summary: FeatureSummary) -> list[str]:
    if summary.histogram:
        texts = [f"{edge:,.4g}" if not 1000 <= abs(edge) < 1e15 else f"{edge:,.0f}" for edge in summary.histogram.edges]
        between = [f"{low} to {high}" for low, high in pairwise(texts)]
        return [*between, f"under {texts[0]}", f"over {texts[-1]}", MISSING]
    if summary.counts is not None:
        return [*(feature.labels.get(name, name) for name in summary.counts), "not in training", MISSING]
    return ["any value", MISSING]


def _seldom(summary: FeatureSummary, trained: Sequence[int], seen: Sequence[int]) -> tuple[list[str], list[str]]:
    """Categories of the training data that do not occur, and that are rare."""
    absent: list[str] = []
    rare: list[str] = []
    shares, rows = _shares(trained), sum(seen)
    for name, share, count in zip(summary.counts or (), shares, seen, strict=False):
        if share * rows >= _EXPECTED_ROWS and count < _RARE * share * rows:
            (rare if count else absent).append(name)
    return absent, rare


def _moved(summary: FeatureSummary, trained: Sequence[int], seen: Sequence[int]) -> float:
    """How far the mean of numbers has moved, in standard deviations of the training data; 0 for other features."""
    if summary.histogram is None:
        return 0.0
    edges = summary.histogram.edges
    middles = [*((low + high) / 2 for low, high in pairwise(edges)), edges[0], edges[-1]]
    before, after = _shares(trained[:-1]), _shares(seen[:-1])
    mean = _mean(middles, before)
    spread = math.sqrt(_mean([(middle - mean) ** 2 for middle in middles], before))
    return (_mean(middles, after) - mean) / (spread or edges[-1] - edges[0]) if any(after) else 0.0


def _mean(values: Sequence[float], shares: Sequence[float]) -> float:
    return sum(value * share for value, share in zip(values, shares, strict=True))


def _words(feature: Feature, summary: FeatureSummary, verdict: Verdict, bins: Sequence[Bin], moved: float) -> str:
    """The verdict in a sentence: for numbers the direction, for others which share has grown most."""
    if verdict is Verdict.STABLE:
        return f"{feature.title} is as in training."
    if verdict is Verdict.UNCLEAR:
        return f"{feature.title}: too few valid rows to tell."
    much, very = ("far", "very") if verdict is Verdict.FAR else ("somewhat", "somewhat")
    grown = max(bins, key=lambda part: part.file - part.training)
    shares = f"{grown.file:.0%} instead of {grown.training:.0%}"
    if grown is bins[-1] and grown.file - grown.training >= _WORTH_A_WORD:
        return f"{feature.title} is {much} more often missing than in training: {shares}."
    if summary.counts is not None:
        return f"{feature.title} is {very} different from training: {grown.label} makes up {shares}."
    if abs(moved) < _SAME_MEAN:
        return f"{feature.title} is spread {very} differently than in training."
    return f"{feature.title} is {much} {'higher' if moved > 0 else 'lower'} than in training."
