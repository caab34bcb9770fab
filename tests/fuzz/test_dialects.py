"""A file means the same in every dialect: other quotes, escapes, delimiters and line ends change none of its values."""

from hypothesis import example, given
from hypothesis import strategies as st

from model.scorer import Scorer
from tests.fuzz.compare import check_file
from tests.fuzz.dialects import Spelling, check_spelling
from tests.jobs.csv.test_stray_quotes import HEADER, KINDS, VALUES, spoilt, written
from tests.properties import examples

NOTES = ["x", "a; b", 'say "hi"', "two\nlines", "", '6" nail', "$78.07", "\u00e9", '"', ';"']
WRONG = ["Femal", "", "1000", 'a "b"']
HEADER_LINE = ";".join(HEADER)


@st.composite
def plain_files(draw: st.DrawFn) -> str:
    """A file with double quotes, semicolons and LF, in which records may have a stray quote or a wrong value."""
    lines = [HEADER_LINE]
    for note in draw(st.lists(st.sampled_from(NOTES), min_size=1, max_size=6)):
        values = [*VALUES, note]
        if draw(st.booleans()):
            values[draw(st.integers(0, len(VALUES) - 1))] = draw(st.sampled_from(WRONG))
        swapped = [value.translate(str.maketrans(";,", ",;")) for value in values]
        fields = [one.translate(str.maketrans(";,", ",;")) for one in written(swapped, draw(st.booleans()))]
        if draw(st.booleans()):
            at, kind = draw(st.integers(0, len(fields) - 1)), draw(st.sampled_from(KINDS))
            lines.append(spoilt(fields, at, kind).replace(",", ";"))
        else:
            lines.append(";".join(fields))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@examples(60, long=200)
@given(
    plain=plain_files(),
    spelling=st.builds(Spelling, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    block=st.integers(1, 80) | st.just(1 << 16),
    chunk=st.sampled_from([1, 30, 200, 1 << 22]),
)
@example(
    plain=f'{HEADER_LINE}\n39;State-gov;Bachelors;Never-married;White;Male;40;"say ""hi"""\n',
    spelling=Spelling(apostrophes=True, returns=True, escapes=True, section_signs=True),
    block=1,
    chunk=1,
)
def test_a_file_means_the_same_in_every_dialect(
    scorer: Scorer, plain: str, spelling: Spelling, block: int, chunk: int
) -> None:
    check_file(plain.encode(), scorer, (block,), chunk)
    check_spelling(plain, spelling, scorer, (block,), chunk)
