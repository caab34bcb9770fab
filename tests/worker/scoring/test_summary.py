"""The values of a chunk, counted in the bins of the training data."""

from jobs.messages import InputChunk
from model.card import FeatureSummary
from model.monitoring.drift import bin_names, count_name
from model.scorer import Scorer
from tests.worker.scoring.test_score_chunk import LAYOUT, RECORD, ages
from worker.scoring.score_chunk import score_chunk


def counts(scorer: Scorer, feature: str, text: str) -> dict[str, int]:
    """What a chunk adds to a job's summary of one feature, by bin."""
    summary = score_chunk(InputChunk(1, 0, text.encode()), LAYOUT, [scorer], None).summary
    names = bin_names(scorer.card.summary[feature])
    return {name: summary[key] for name in names if (key := count_name(feature, name)) in summary}


def test_numbers_fall_into_the_bins_of_the_training_histogram(scorer: Scorer) -> None:
    histogram = scorer.card.summary["age"].histogram
    assert histogram is not None
    assert histogram.edges[:2] == (17, 24.3)
    found = counts(scorer, "age", ages(17, 24, "24.0", 25, " 90 ", 90))
    assert found == {"0": 3, "1": 1, "9": 2}, "the last bin holds its upper edge"


def test_what_is_missing_or_out_of_the_training_range_has_bins_of_its_own(scorer: Scorer) -> None:
    card = scorer.card
    age = next(feature for feature in card.features if feature.name == "age").model_copy(
        update={"minimum": 0, "maximum": 200, "missing_allowed": True}
    )
    # Its pipeline takes no age that is missing; the values are counted nevertheless.
    lenient = card.model_copy(update={"features": (age, *card.features[1:]), "additive": False})
    chunk = InputChunk(1, 0, ages(3, 16, 17, 91, "?", "?", "x", 300).encode())
    summary = score_chunk(chunk, LAYOUT, [Scorer(lenient, scorer.pipeline)], None, bisect=True).summary
    found = {name: summary.get(count_name("age", name), 0) for name in bin_names(card.summary["age"])}
    assert {name: count for name, count in found.items() if count} == {"0": 1, "below": 2, "above": 1, "missing": 2}
    assert (summary["fault:not_a_number:age"], summary["fault:out_of_range:age"]) == (1, 1)


def test_categories_are_counted_however_they_are_spelt_and_missing_ones_too(scorer: Scorer) -> None:
    names = list(scorer.card.summary["workclass"].counts or ())
    rows = ["State-gov", " state-GOV", "Private", "?", "", "Knight"]
    found = counts(scorer, "workclass", "".join(f"39,{RECORD.replace('State-gov', name)}\n" for name in rows))
    assert found == {str(names.index("State-gov")): 2, str(names.index("Private")): 1, "missing": 2}


def test_rows_that_cannot_be_read_are_not_counted_and_those_rejected_for_another_value_are(scorer: Scorer) -> None:
    text = ages(20, "abc") + "1,2\n"
    assert sum(counts(scorer, "age", text).values()) == 1
    assert sum(counts(scorer, "sex", text).values()) == 2


def test_the_counts_of_two_chunks_add_up_to_those_of_both_as_one(scorer: Scorer) -> None:
    first, second = ages(*range(17, 60)), ages(*range(40, 95))
    for feature in scorer.card.summary:
        apart = [counts(scorer, feature, text) for text in (first, second)]
        whole = counts(scorer, feature, first + second)
        assert {name: apart[0].get(name, 0) + apart[1].get(name, 0) for name in whole} == whole


def test_a_model_without_a_summary_of_its_training_data_is_scored_without_counts(scorer: Scorer) -> None:
    bare = Scorer(scorer.card.model_copy(update={"summary": {}}), scorer.pipeline)
    summary = score_chunk(InputChunk(1, 0, ages(20, 30).encode()), LAYOUT, [bare], None).summary
    assert not [name for name in summary if name.startswith("drift:")]


def test_a_feature_of_which_only_missing_values_were_counted_in_training_has_two_bins(scorer: Scorer) -> None:
    card = scorer.card.model_copy(update={"summary": {"workclass": FeatureSummary(missing=3)}})
    text = "".join(f"39,{RECORD.replace('State-gov', name)}\n" for name in ("?", "Private", "Private"))
    found = score_chunk(InputChunk(1, 0, text.encode()), LAYOUT, [Scorer(card, scorer.pipeline)], None).summary
    assert {name: n for name, n in found.items() if name.startswith("drift:")} == {
        "drift:workclass:any": 2,
        "drift:workclass:missing": 1,
    }
