"""Numbers, sizes, times and errors as people read them."""

from pathlib import Path

import pytest

from model.catalog import Catalog
from model.schema import Fault, Feature, FeatureKind
from web.pages.error_texts import describe_error, describe_fault
from web.pages.formatting import (
    as_sentence,
    describe_browser,
    format_change,
    format_duration,
    format_multiplier,
    format_number,
    format_percent,
    format_progress,
    format_significant,
    format_size,
    format_small_percent,
    format_tick,
    within_sentence,
)

TITLES = {"age": "Age", "marital_status": "Marital status"}


def test_numbers_have_separators_and_few_decimals() -> None:
    numbers = (0, 7, 1234567, 1234.5, 2.5, 0.126, 99.999)
    assert [format_number(n) for n in numbers] == ["0", "7", "1,234,567", "1,235", "2.5", "0.13", "100"]
    assert [format_significant(n) for n in (-0.0, -1234567.0, 0.1)] == ["0", "−1.23457e+06", "0.1"]
    assert [format_change(n) for n in (0.5, -2e-7)] == ["+0.5", "−2e-07"]
    assert [format_multiplier(n) for n in (0.5, 900)] == ["× 1.65", "× 1.01e+304"]


def test_numbers_beside_an_axis_are_short() -> None:
    numbers = (0.25, 1500, 15_000, 500_000, 999_999, 1_500_000, 999_999_999, 2e9)
    assert [format_tick(n) for n in numbers] == ["0.25", "1,500", "15k", "500k", "1000k", "1.5M", "1000M", "2B"]


def test_shares_are_rounded_half_up_and_progress_down() -> None:
    assert [format_percent(share, 1) for share in (0.0625, 0.150521, None)] == ["6.3%", "15.1%", "–"]
    assert [format_small_percent(share) for share in (0.0, 0.0004, 0.25)] == ["0.0%", "under 0.1%", "25.0%"]
    assert format_progress(0.9999) == "99%"


def test_sizes_and_durations_have_fitting_units() -> None:
    sizes = (1, 999, 1000, 4_104_734, 1_100_000_000)
    assert [format_size(n) for n in sizes] == ["1 byte", "999 bytes", "1.0 kB", "4.1 MB", "1.1 GB"]
    durations = ["less than a second", "59 s", "1 min 1 s", "1 h 2 min"]
    assert [format_duration(s) for s in (0.2, 59, 61, 3725)] == durations


def test_titles_and_details_fit_into_sentences() -> None:
    assert as_sentence("a text") == "A text."
    assert [within_sentence(text) for text in ("Monthly income", "BMI", "")] == ["monthly income", "BMI", ""]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("not_a_number in age: 'old' is not a number", "Age: not a number."),
        (
            "missing in marital_status: marital_status is missing; a category is needed; "
            "out_of_range in age: '7' is outside 17..90",
            "Marital status: missing. Age: out of range.",
        ),
        (
            "unknown_category in marital_status: 'divorce' is not valid; did you mean 'Divorced'?",
            "Marital status: not a valid value; did you mean “Divorced”?",
        ),
        ("ragged: 3 fields instead of 7", "Row: too few or too many fields."),
        ("not_a_number in other: 'x' is not a number", "other: not a number."),
        ("something else: entirely", "Something else: entirely."),
    ],
)
def test_errors_of_rows_name_features_by_their_titles(error: str, text: str) -> None:
    assert describe_error(error, TITLES) == text


def test_faults_say_what_would_be_right(models: Path) -> None:
    features = {feature.name: feature for feature in Catalog(models, "income").card().features}
    unknown = features["education"].parse("HS grad")
    assert isinstance(unknown, Fault)
    text = "“HS grad” is not a valid value for Education. Did you mean “{}”?"
    assert describe_fault(features["education"], unknown) == text.format("High school graduate")
    assert describe_fault(features["education"], unknown, in_file=True) == text.format("HS-grad")
    no_suggestion = Fault("unknown_category", "", "education", "Zzz")
    assert describe_fault(features["education"], no_suggestion).endswith("for Education. Choose one of 16 values.")
    assert describe_fault(features["age"], Fault("missing", "", "age")) == "Enter a whole number, 17 to 90 years."
    note = Feature(name="note", title="Note", kind=FeatureKind.TEXT)
    assert describe_fault(note, Fault("not_a_text", "", "note", "7")) == "“7” must be text. Enter some text."


@pytest.mark.parametrize(
    ("user_agent", "text"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
         "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
         "Safari/537.36 Edg/142.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
         "Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "CriOS/142.0.0.0 Mobile/15E148 Safari/604.1", "Chrome on an iPhone"),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile "
         "Safari/537.36", "Chrome on Android"),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", "Unknown"),
    ],
)  # fmt: skip
def test_a_browser_is_named_as_its_user_knows_it(user_agent: str, text: str) -> None:
    assert describe_browser(user_agent) == text
