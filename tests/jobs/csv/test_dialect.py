"""Translation of a file's dialect for the record core: what it reads, and that it comes back byte for byte."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.csv.dialect import Dialect, Translator
from jobs.errors import UploadRefused

DIALECTS = [
    Dialect(),
    Dialect(line_end="\r"),
    Dialect(quote="'"),
    Dialect(escape="\\"),
    Dialect(is_spaced=True),
    Dialect(delimiter=" "),
    Dialect(delimiter="§"),
    Dialect(delimiter="¦", line_end="\r", quote="'", escape="\\", is_spaced=True),
    Dialect(delimiter=";", line_end="\r", quote="'", escape="\\", is_spaced=True),
    Dialect(delimiter=" ", quote="'", escape="\\"),
]
PIECES = st.sampled_from(
    ["a", "b c", " ", "  ", '"', "'", '""', "\\", '\\"', ",", ";", "\n", "\r", "\r\n", "§", "¦", "\x1f", "é"]
)


def translate(dialect: Dialect, data: bytes, block: int) -> bytes:
    translator = Translator(dialect)
    blocks = [translator.feed(data[start : start + block]) for start in range(0, len(data), block)]
    return b"".join([*blocks, translator.finish()])


@pytest.mark.parametrize("dialect", DIALECTS, ids=repr)
@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 9))
@example('a,"b', 1)
@example(' "a" , "b"\n"c"  ,\'d\'\\"', 2)
def test_every_file_comes_back_byte_for_byte(dialect: Dialect, text: str, block: int) -> None:
    assert dialect.restore(translate(dialect, text.encode(), block)) == text.encode()


@pytest.mark.parametrize(("dialect", "text", "records"), [
    (Dialect(line_end="\r"), 'a,b\r"x\ry",2\r', [["a", "b"], ["x\ry", "2"]]),
    (Dialect(quote="'"), "'a, b','it''s','say \"hi\"'\n", [["a, b", "it's", 'say "hi"']]),
    (Dialect(escape="\\"), '"say \\"hi\\"","C:\\\\",x\n', [['say "hi"', "C:\\", "x"]]),
    (Dialect(is_spaced=True), 'a , "b, c" , d\n  "e"  ,"f",""\n', [["a ", "b, c", " d"], ["e", "f", ""]]),
    (Dialect(delimiter=" "), '  a   "b  c"  d  \n"e"   f "g"  \n', [["a", "b  c", "d"], ["e", "f", "g"]]),
    (Dialect(delimiter="§"), 'a§"b§c"§d\x1fe\n', [["a", "b§c", "d\x1fe"]]),
])  # fmt: skip
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_the_core_reads_the_values_of_the_file(
    dialect: Dialect, text: str, records: list[list[str]], block: int
) -> None:
    core = translate(dialect, text.encode(), block).decode()
    rows = csv.reader(io.StringIO(core, newline=""), delimiter=dialect.core_delimiter, strict=True)
    assert [[dialect.value_of(value) for value in row] for row in rows] == records


@pytest.mark.parametrize("dialect", DIALECTS, ids=repr)
@given(st.lists(PIECES, max_size=9).map("".join))
def test_a_text_that_is_added_reads_in_the_file_as_it_was(dialect: Dialect, text: str) -> None:
    assert dialect.value_of(dialect.text_of(text)) == text


def test_a_plain_file_is_passed_on_untouched() -> None:
    block = b"a,b\n1,2\n"
    assert Translator(Dialect(delimiter=";", decimal=",")).feed(block) is block


def test_a_file_that_has_the_private_characters_itself_is_refused() -> None:
    with pytest.raises(UploadRefused) as refused:
        Translator(Dialect(escape="\\")).feed("a,\U0010fff0\n".encode())
    assert refused.value.code == "undecodable"


def test_memory_stays_flat_while_a_quote_is_open() -> None:
    translator, passed = Translator(Dialect(is_spaced=True)), 0
    for number in range(100):
        passed += len(translator.feed(b'"' * (number == 0) + b"x" * 65536))
        assert number * 65536 - passed < 4 * 1024 * 1024
