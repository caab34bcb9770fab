"""Data drift: compare each feature's values in a file with the training data, in the bins of the card's summary.

Pure, and without numpy, since the web process loads it. Workers count chunk by chunk; the counts of chunks are added
up.

The measure is the population stability index, PSI (N. Siddiqi, Credit Risk Scorecards, Wiley 2006, with its limits 0.1
and 0.25): the sum over the bins of (q - p) ln(q / p), where p is the bin's share of the training records and q its
share of the file's. Without drift, PSI divided by 1/n + 1/m, for n and m records, has a chi-square distribution with
bins - 1 degrees of freedom (B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan
University 2018). A value that is not above its 95 % quantile, as in a file of a few rows, is no evidence of drift.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from model.card import Card, FeatureSummary
from model.monitoring.counts import FAULT
from model.schema import FaultCode, Feature

SOME, FAR = 0.1, 0.25
BELOW, ABOVE, OTHER, ANY, MISSING = "below", "above", "other", "any", "missing"

# Added to each bin of the training data, so that none is empty (Jeffreys' prior).
_TRAINING_PRIOR = 0.5
# One record added to the file, distributed as in training: it keeps logarithms finite and adds no drift.
_FILE_PRIOR = 1.0
_NORMAL_95 = 1.645
# A category is called absent or rare only where that many rows were expected: with fewer, it may be chance.
_EXPECTED_ROWS = 5
_RARE = 0.2
# Means that differ by less, in training standard deviations, are called neither higher nor lower.
_SAME_MEAN = 0.1
# A larger share of missing values is reported from this difference on.
_LEAST_REPORTED_SHIFT = 0.05


class Verdict(StrEnum):
    """How far a feature's values are from those in training; ``unclear`` where there are too few rows to tell."""

    STABLE = "stable"
    SOME = "some"
    FAR = "far"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of values with its label, its share (0..1) of the training records, and that of the file's valid ones."""

    label: str
    training: float
    file: float


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How a feature's values in a file differ from those in training.

    ``rows`` are those whose record could be read. Of these, ``missing``, ``rejected`` and ``outside`` are shares: of
    missing values, of rejected ones, and of numbers outside the range allowed or seen in training; ``training_missing``
    is the share missing in training. ``unseen`` counts values that are no category of the training data; ``absent`` and
    ``rare`` are categories that do not occur, or at less than a fifth of their training share, though five rows or more
    were expected.
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
    """Return the names of the bins in which a feature's values are counted, in order.

    These are the bins of its histogram or its categories, then values outside of them, then missing ones.
    """
    if summary.histogram:
        return [*map(str, range(len(summary.histogram.counts))), BELOW, ABOVE, MISSING]
    if summary.counts is not None:
        return [*map(str, range(len(summary.counts))), OTHER, MISSING]
    return [ANY, MISSING]


def count_name(feature: str, name: str) -> str:
    """Return the name of the count of a feature's values in one bin in a job's summary."""
    return f"drift:{feature}:{name}"


def drift(card: Card, counts: Mapping[str, int]) -> dict[str, FeatureDrift] | None:
    """Return how a file differs from the training data, by feature; None where the card has no summary.

    ``counts`` are those of a job's summary; a feature without counts is left out.
    """
    if not card.summary:
        return None
    by_feature = {}
    for feature in card.features:
        summary = card.summary.get(feature.name)
        seen = _feature_counts(feature, summary, counts) if summary else None
        if summary and seen and seen.rows:
            by_feature[feature.name] = _feature_drift(feature, summary, seen)
    return by_feature


def joint_drift(cards: Sequence[Card], counts: Mapping[str, int]) -> dict[str, FeatureDrift] | None:
    """Return the drift for several models: each feature is compared with the training data of the first that has it."""
    by_model = [drifts for card in cards if (drifts := drift(card, counts)) is not None]
    if not by_model:
        return None
    return by_model[0] | {
        name: feature for drifts in by_model[1:] for name, feature in drifts.items() if name not in by_model[0]
    }


@dataclass(frozen=True, slots=True)
class _FeatureCounts:
    """The counts of a feature: valid values by bin, in the order of ``bin_names``, and faults by code."""

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


def _feature_counts(feature: Feature, summary: FeatureSummary, counts: Mapping[str, int]) -> _FeatureCounts:
    bins = [counts.get(count_name(feature.name, name), 0) for name in bin_names(summary)]
    faults = {code.value: counts.get(f"{FAULT}:{code}:{feature.name}", 0) for code in FaultCode}
    return _FeatureCounts(bins, faults)


def _feature_drift(feature: Feature, summary: FeatureSummary, seen: _FeatureCounts) -> FeatureDrift:
    trained = _training_bins(summary)
    training_shares, file_shares = _shares(trained), _shares(seen.bins)
    psi = _psi(trained, seen.bins)
    verdict = _verdict(psi, trained, seen.bins)
    # The bins below and above the histogram, before that of missing values: see ``bin_names``.
    outside = sum(seen.bins[-3:-1]) + seen.faults[FaultCode.OUT_OF_RANGE] if summary.histogram else 0
    other = seen.bins[-2] if summary.counts is not None else 0
    bins = [Bin(*parts) for parts in zip(_labels(feature, summary), training_shares, file_shares, strict=True)]
    absent, rare = _absent_and_rare(summary, trained, seen.bins)
    return FeatureDrift(
        psi=round(psi, 4),
        verdict=verdict,
        words=_describe(feature, summary, verdict, bins, _mean_shift(summary, trained, seen.bins)),
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
    """Return the training records by bin, in the order of ``bin_names``."""
    if summary.histogram:
        return [*summary.histogram.counts, 0, 0, summary.missing]
    if summary.counts is not None:
        return [*summary.counts.values(), 0, summary.missing]
    return [0, summary.missing]


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _psi(trained: Sequence[int], seen: Sequence[int]) -> float:
    # A bin that is empty on both sides says nothing; the prior would make it count.
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
    # The PSI that one file in twenty exceeds without any drift.
    by_chance = _chi_square_95(bins - 1) * (1 / max(sum(trained), 1) + 1 / max(sum(seen), 1))
    if psi <= by_chance:
        return Verdict.UNCLEAR
    return Verdict.SOME if psi < FAR else Verdict.FAR


def _chi_square_95(degrees: int) -> float:
    """Return the 95 % quantile, by the approximation of Wilson and Hilferty (1931), good to about 1 %.

    Not ``scipy.stats.chi2.ppf``, since the web process loads neither numpy nor SciPy.
    """
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


def _absent_and_rare(
    summary: FeatureSummary, trained: Sequence[int], seen: Sequence[int]
) -> tuple[list[str], list[str]]:
    """Return the categories of the training data that do not occur, and those that are rare."""
    absent: list[str] = []
    rare: list[str] = []
    shares, rows = _shares(trained), sum(seen)
    for name, share, count in zip(summary.counts or (), shares, seen, strict=False):
        if share * rows >= _EXPECTED_ROWS and count < _RARE * share * rows:
            (rare if count else absent).append(name)
    return absent, rare


def _mean_shift(summary: FeatureSummary, trained: Sequence[int], seen: Sequence[int]) -> float:
    """Return the shift of a number's mean, in training standard deviations; 0 for other features."""
    if summary.histogram is None:
        return 0.0
    edges = summary.histogram.edges
    # Values outside count as the nearest edge: how far outside they are was not counted.
    middles = [*((low + high) / 2 for low, high in pairwise(edges)), edges[0], edges[-1]]
    before, after = _shares(trained[:-1]), _shares(seen[:-1])
    mean = _mean(middles, before)
    spread = math.sqrt(_mean([(middle - mean) ** 2 for middle in middles], before))
    # All training values in one bin have no spread.
    return (_mean(middles, after) - mean) / (spread or edges[-1] - edges[0]) if any(after) else 0.0


def _mean(values: Sequence[float], shares: Sequence[float]) -> float:
    return sum(value * share for value, share in zip(values, shares, strict=True))


def _describe(feature: Feature, summary: FeatureSummary, verdict: Verdict, bins: Sequence[Bin], shift: float) -> str:
    """Return the verdict as a sentence: the direction for numbers, the share that has grown most for others."""
    if verdict is Verdict.STABLE:
        return f"{feature.title} is as in training."
    if verdict is Verdict.UNCLEAR:
        return f"{feature.title}: too few valid rows to tell."
    much, very = ("far", "very") if verdict is Verdict.FAR else ("somewhat", "somewhat")
    largest_growth = max(bins, key=lambda part: part.file - part.training)
    shares = f"{largest_growth.file:.0%} instead of {largest_growth.training:.0%}"
    if largest_growth is bins[-1] and largest_growth.file - largest_growth.training >= _LEAST_REPORTED_SHIFT:
        return f"{feature.title} is {much} more often missing than in training: {shares}."
    if summary.counts is not None:
        return f"{feature.title} is {very} different from training: {largest_growth.label} makes up {shares}."
    if abs(shift) < _SAME_MEAN:
        return f"{feature.title} is distributed {very} differently than in training."
    return f"{feature.title} is {much} {'higher' if shift > 0 else 'lower'} than in training."
