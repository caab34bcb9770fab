"""Numbers as files write them: with a decimal point or a decimal comma."""

import pytest

from model.feature import Fault, Feature, FeatureKind
from model.parsing import NumberFormat

AMOUNT = Feature(name="amount", title="Amount", kind=FeatureKind.NUMBER)


@pytest.mark.parametrize(("texts", "decimal", "certain"), [
    (["39", "40"], ".", True),
    (["39", "40.5"], ".", True),
    (["1.234"], ".", True),
    (["39", "40,5", "n/a"], ",", False),
    (["1.234,56"], ",", False),
    (["1.234.567"], ",", False),
    (["1.234", "1.234,56"], ",", False),
    (["40,5", "40.5"], ".", False),
    (["40,5", "0.123"], ".", False),
    ([], ".", True),
])  # fmt: skip
def test_the_values_of_a_file_tell_its_decimal_mark(texts: list[str], decimal: str, certain: bool) -> None:
    assert NumberFormat.detect(texts) == NumberFormat(decimal, certain)


@pytest.mark.parametrize(("text", "number"), [
    ("1.234,56", 1234.56), ("-1.234,5", -1234.5), ("1.234", 1234.0), ("1.234.567", 1234567.0), ("39,5", 39.5),
    ("1234,5", 1234.5), (",5", 0.5), ("5,", 5.0), ("+1,5e3", 1500.0), ("39", 39.0), (" 39,5 ", 39.5),
])  # fmt: skip
def test_dots_group_thousands_where_the_mark_is_a_comma(text: str, number: float) -> None:
    assert AMOUNT.parse(text, numbers=NumberFormat(",")) == number


@pytest.mark.parametrize(
    "text", ["1.5", "12.34", "1.2345", "0.123", "1234.567", "1.23.456", "1,2,3", "1.234,5.6", "abc"]
)
def test_dots_elsewhere_make_no_number(text: str) -> None:
    fault = AMOUNT.parse(text, numbers=NumberFormat(","))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.value) == ("not_a_number", text)


def test_a_number_with_two_meanings_is_never_guessed() -> None:
    for decimal, texts in {",": ["1.234", "-9.999"], ".": ["1.234", "39,5", "1.234,56"]}.items():
        for text in texts:
            fault = AMOUNT.parse(text, numbers=NumberFormat(decimal, is_certain=False))
            assert isinstance(fault, Fault)
            assert (fault.code, fault.value) == ("ambiguous_number", text)
    assert AMOUNT.parse("1.234,56", numbers=NumberFormat(",", is_certain=False)) == 1234.56
    assert AMOUNT.parse("39.5", numbers=NumberFormat(".", is_certain=False)) == 39.5
