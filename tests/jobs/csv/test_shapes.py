"""Lines with the same quotes and delimiters have one shape, from which what is found in it leads back to each line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.shapes import Shapes
from tests.jobs.csv.test_records import TEXTS
from tests.properties import examples


@pytest.mark.parametrize("of_quotes", [False, True])
def test_a_file_with_the_same_stray_quote_in_every_row_has_one_shape(of_quotes: bool) -> None:
    rows = [f'{age},"Private,{hours}\n' for age in range(17, 90) for hours in (8, 40)]
    shapes = Shapes.of("".join(rows).encode(), ord(","), final=True, of_quotes=of_quotes)
    assert len(shapes) == len(rows)
    assert shapes.text.count(b"\n") == 1


@examples(200, long=600)
@given(TEXTS, st.booleans(), st.booleans())
def test_each_quote_of_a_shape_stands_where_it_stands_in_the_line(text: str, final: bool, of_quotes: bool) -> None:
    data = text.encode()
    shapes = Shapes.of(data, ord(","), final, of_quotes)
    lines = data.split(b"\n")
    rest = lines.pop()
    lines += [rest] if final and rest else []
    starts, ends = shapes.starts.tolist(), shapes.ends.tolist()
    assert [data[start:end] for start, end in zip(starts, ends, strict=True)] == lines
    in_shapes, in_text = (np.flatnonzero(np.frombuffer(one, np.uint8) == ord('"')) for one in (shapes.text, data))
    end = ends[-1] if ends else 0
    assert shapes.marks_of(in_shapes).at(in_shapes).tolist() == in_text[in_text < end].tolist()
