"""The columns of earlier results are recognised, and dropped from each record."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.earlier_results import ResultsDropper, result_columns
from jobs.csv.reader import Chunk, Cutter
from jobs.errors import UploadRefused


@pytest.mark.parametrize(("names", "own"), [
    (["age", "sex", "prediction", "probability", "error"], 3),
    (["age", "prediction", "error"], 2),
    (["age", "prediction", "probability", "error", "prediction_2", "probability_2", "error_2"], 6),
    (["age", "prediction_a", "probability_a", "prediction_b", "probability_b", "error"], 5),
    (["age", "prediction", "probability", "error", "warnings", "explain_1_feature", "explain_1_effect"], 6),
    (["age", "score", "prediction", "score_2", "error"], 3),
    (["age", "prediction", "probability", "error", "note"], 0),
    (["age", "prediction", "probability"], 0),
    (["age", "error"], 0),
    (["age", "prediction"], 0),
])  # fmt: skip
def test_only_columns_of_ours_at_the_end_count(names: Sequence[str], own: int) -> None:
    assert result_columns(names, {0}) == tuple(names[len(names) - own :])


def test_a_feature_is_never_taken_for_a_result() -> None:
    assert result_columns(["prediction", "error"], {1}) == ()
    assert result_columns(["prediction", "prediction_2", "error"], {0}) == ("prediction_2", "error")


@given(
    st.lists(
        st.sampled_from(["1,2,p,e", "1,2,p,e\r", '"a,""b",2,"p",', "1,2", "1,2,p", "1,2,p,e,x", "", '1,"a\nb",p,']),
        max_size=9,
    )
)
def test_records_keep_their_own_fields(lines: list[str]) -> None:
    cut = {
        "1,2,p,e": "1,2", "1,2,p,e\r": "1,2\r", '"a,""b",2,"p",': '"a,""b",2', "1,2": "1,2,", "1,2,p": "1,2,p",
        "1,2,p,e,x": "1,2,p,e,x", "": "", '1,"a\nb",p,': '1,"a\nb"',
    }  # fmt: skip
    text = "".join(f"{line}\n" for line in lines)
    [chunk] = ResultsDropper(",", 4, 2).feed(iter([Chunk(text.encode(), len(lines), 1)]))
    assert chunk.data.decode().lstrip("\n") == "".join(f"{cut[line]}\n" for line in lines).lstrip("\n")


def test_lines_of_a_broken_record_never_become_one_row() -> None:
    dropper = ResultsDropper(",", 4, 2)
    data = b'1,"a\nb"\n2,c,x,y\n'
    chunks = [*(cutter := Cutter(",", 4, 1 << 20)).feed(data), *cutter.finish()]
    assert sum(chunk.rows for chunk in chunks) == 3
    with pytest.raises(UploadRefused, match="score the file without it"):
        list(dropper.feed(iter(chunks)))


def test_a_field_that_is_left_alone_and_empty_stays_a_record() -> None:
    [chunk] = ResultsDropper(",", 3, 1).feed(iter([Chunk(b"1,p,\n,,missing\n2,p,\n", 3, 1)]))
    assert chunk.data == b'1\n""\n2\n'
