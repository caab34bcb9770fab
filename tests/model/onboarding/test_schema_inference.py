"""A schema is inferred from the user's table."""

import pandas as pd

from model.onboarding.schema_inference import infer_feature, with_distinct_titles


def test_features_whose_titles_would_be_equal_are_told_apart_by_their_names() -> None:
    numbers = pd.Series([1.0, 2.0, 3.0])
    features = [infer_feature(name, numbers.astype(str), numbers) for name in ("A b", "a_b", "hours_per_week")]
    assert [feature.title for feature in features] == ["A b", "A b", "Hours per week"]
    titles = [feature.title for feature in with_distinct_titles(features)]
    assert titles == ["A b (A b)", "A b (a_b)", "Hours per week"]
