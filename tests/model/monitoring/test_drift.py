"""Drift of a file from the training data, in numbers and words."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from model.card import Card, FeatureSummary, Histogram
from model.monitoring.drift import FeatureDrift, Verdict, bin_names, count_name, drift

Shares = Mapping[str, float]


@pytest.fixture(scope="module")
def counted(card: Card, held_out: pd.DataFrame) -> Callable[..., dict[str, int]]:
    """Counts of the held-out file's columns in the training data's bins, as numpy and pandas count them."""

    def count(frame: pd.DataFrame = held_out) -> dict[str, int]:
        counts = {}
        for name, summary in card.summary.items():
            if summary.histogram:
                found = np.histogram(frame[name], summary.histogram.edges)[0].tolist()
                found += [int((frame[name] < 17).sum()) if name == "age" else 0, 0]
            else:
                found = [int((frame[name] == category).sum()) for category in summary.counts or ()] + [0]
            found.append(int(frame[name].isna().sum()))
            counts |= {count_name(name, bin_): n for bin_, n in zip(bin_names(summary), found, strict=True) if n}
        return counts

    return count


def found(card: Card, counts: Mapping[str, int]) -> dict[str, FeatureDrift]:
    answer = drift(card, counts)
    assert answer is not None
    return answer


def test_held_out_records_are_like_the_training_data(card: Card, counted: Callable[..., dict[str, int]]) -> None:
    features = found(card, counted())
    assert list(features) == [feature.name for feature in card.features]
    for name, feature in features.items():
        assert feature.verdict is Verdict.STABLE, name
        assert feature.psi < 0.01
        assert feature.words.endswith(" is as in training.")
        assert sum(part.training for part in feature.bins) == pytest.approx(1)
        assert sum(part.file for part in feature.bins) == pytest.approx(1)
        assert feature.rows == 16_281


def test_the_index_is_that_of_its_definition(card: Card, counted: Callable[..., dict[str, int]]) -> None:
    feature = found(card, counted())["hours_per_week"]
    p, q = np.array([(part.training, part.file) for part in feature.bins if part.training and part.file]).T
    assert feature.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "feature", "verdict", "words"),
    [
        (
            lambda frame: frame[frame.hours_per_week > 55],
            "hours_per_week",
            Verdict.FAR,
            "Hours per week is far higher than in training.",
        ),
        (lambda frame: frame[frame.age < 33], "age", Verdict.FAR, "Age is far lower than in training."),
        (
            lambda frame: frame[(frame.age > 28) & (frame.age < 50)],
            "age",
            Verdict.FAR,
            "Age is distributed very differently than in training.",
        ),
        (
            lambda frame: frame[(frame.sex == "Female") | (frame.index % 2 == 0)],
            "sex",
            Verdict.SOME,
            "Sex is somewhat different from training: Female makes up 50% instead of 33%.",
        ),
        (
            lambda frame: frame.assign(workclass=frame.workclass.mask(frame.index % 2 == 0, None)),
            "workclass",
            Verdict.FAR,
            "Work class is far more often missing than in training: 53% instead of 6%.",
        ),
    ],
)
def test_drift_is_described_in_words(
    card: Card,
    held_out: pd.DataFrame,
    counted: Callable[..., dict[str, int]],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    feature: str,
    verdict: Verdict,
    words: str,
) -> None:
    answer = found(card, counted(change(held_out)))[feature]
    assert (answer.verdict, answer.words) == (verdict, words)


def test_a_few_rows_are_no_evidence_of_drift(
    card: Card, held_out: pd.DataFrame, counted: Callable[..., dict[str, int]]
) -> None:
    for seed in range(20):
        features = found(card, counted(held_out.sample(5, random_state=seed)))
        assert not [name for name, feature in features.items() if feature.verdict is Verdict.FAR]
    features = found(card, counted(held_out[:5]))
    assert {feature.verdict for feature in features.values()} <= {Verdict.UNCLEAR, Verdict.STABLE}
    assert "Age: too few valid rows to tell." in {feature.words for feature in features.values()}


def test_absent_categories_are_named_unless_it_may_be_chance(
    card: Card, held_out: pd.DataFrame, counted: Callable[..., dict[str, int]]
) -> None:
    kept = held_out[(held_out.education != "Doctorate") & ((held_out.education != "Masters") | (held_out.age > 70))]
    education = found(card, counted(kept))["education"]
    assert (education.absent, education.rare) == (["Doctorate"], ["Masters"])
    few = found(card, counted(kept[:20]))["education"]
    assert (few.absent, few.rare) == ([], [])


def test_rejected_values_are_shares_of_all_rows_that_could_be_read(card: Card) -> None:
    counts = {
        "drift:age:3": 40,
        "drift:age:above": 10,
        "fault:out_of_range:age": 30,
        "fault:missing:age": 20,
        "drift:workclass:0": 90,
        "fault:unknown_category:workclass": 10,
    }
    features = found(card, counts)
    age = features["age"]
    assert (age.rows, age.rejected, age.missing, age.outside) == (100, 0.5, 0.2, 0.4)
    assert (age.unseen, age.training_missing) == (0, 0.0)
    assert (features["workclass"].unseen, features["workclass"].rejected) == (10, 0.1)
    assert "sex" not in features, "nothing was counted of it"


def test_a_feature_with_only_rejected_values_is_not_called_stable(card: Card) -> None:
    age = found(card, {"fault:not_a_number:age": 1000})["age"]
    assert (age.verdict, age.rejected) == (Verdict.UNCLEAR, 1.0)
    assert all(part.file == 0 for part in age.bins)


def test_without_a_summary_there_is_nothing_to_compare_with(card: Card) -> None:
    assert drift(card.model_copy(update={"summary": {}}), {"drift:age:3": 40}) is None
    assert drift(card, {}) == {}


def test_bins_that_are_empty_on_both_sides_and_bins_of_one_side_stay_finite(card: Card) -> None:
    summary = FeatureSummary(histogram=Histogram(edges=(0, 1, 2, 3), counts=(1_000_000, 0, 0)))
    other = card.model_copy(update={"summary": {"age": summary}})
    same = found(other, {"drift:age:0": 500_000})["age"]
    assert (same.psi, same.verdict) == (0.0, Verdict.STABLE)
    apart = found(other, {"drift:age:2": 500_000})["age"]
    assert math.isfinite(apart.psi)
    assert (apart.verdict, apart.words) == (Verdict.FAR, "Age is far higher than in training.")


def test_bins_are_named_as_people_write_numbers(card: Card) -> None:
    summary = FeatureSummary(
        histogram=Histogram(edges=(-0.00123456, 0.5, 40_000, 1_234_567.8, 1e40), counts=(1, 1, 1, 1))
    )
    counts = {count_name("age", name): 1000 for name in bin_names(summary)}
    bins = found(card.model_copy(update={"summary": {"age": summary}}), counts)["age"].bins
    assert [part.label for part in bins] == [
        "-0.001235 to 0.5",
        "0.5 to 40,000",
        "40,000 to 1,234,568",
        "1,234,568 to 1e+40",
        "under -0.001235",
        "over 1e+40",
        "missing",
    ]
