"""Rows of Parquet and Arrow files keep their types on the way, and all that is made of them is as of their CSV."""

import base64
import datetime as dt
import decimal
import io
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeRegressor

from jobs.csv.dialect import Dialect
from jobs.csv.reader import Cutter
from jobs.csv.records import as_field
from jobs.csv.totals import TotalsFinder
from jobs.formats.results import ResultReader, Results
from jobs.formats.source import Source
from jobs.formats.tables import open_arrow, open_parquet
from jobs.formats.typed import csv_size, csv_text, text_size
from jobs.formats.writers import write_json_lines, write_parquet
from jobs.messages import InputChunk
from jobs.state import Job
from jobs.store.chunks import ScoredChunk
from jobs.store.job_record import JobRecord
from jobs.store.outputs import TypedOutput, decode_output, encode_output, output_text
from model.card import ModelKind, Scores
from model.schema import UnseenPolicy
from model.scorer import Scorer
from tests.jobs.formats.files import arrow_stream, parquet
from tests.jobs.store.conftest import NEW
from tests.jobs.store.test_job_record import stored
from tests.properties import examples
from tests.worker.scoring.test_compare import scorer_of
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk

AS_CSV, MAX_BYTES = 0, 1 << 30
PEOPLE = {
    "age": [39, 50], "workclass": ["State-gov", "Private"], "education": ["Bachelors", "HS-grad"],
    "marital_status": ["Never-married", "Divorced"], "race": ["White", "Black"], "sex": ["Male", "Female"],
    "hours_per_week": [40, 13],
}  # fmt: skip


@dataclass
class Outcome:
    """What becomes of a file: its scored chunks as they are stored, and the job that they belong to."""

    job: Job
    chunks: list[InputChunk]
    scored: list[ScoredChunk]

    @property
    def frames(self) -> list[bytes]:
        return [encode_output(chunk.typed or chunk.output) for chunk in self.scored]

    @property
    def text(self) -> bytes:
        return b"".join(map(output_text, self.frames))

    @property
    def results(self) -> list[Results]:
        return list(map(decode_output, self.frames))

    @property
    def said(self) -> Any:
        """Everything that does not depend on where the chunks begin."""
        counts = [(one.scored, one.rejected, one.warned, one.scoring_failed) for one in self.scored]
        summary = sum((Counter(one.summary) for one in self.scored), Counter[str]())
        rejects = b"".join(one.rejects for one in self.scored)
        return self.text.splitlines(), rejects.splitlines(), [*map(sum, zip(*counts, strict=True))], summary

    def parquet(self) -> pa.Table:
        out = io.BytesIO()
        write_parquet(out, ResultReader.of(self.job), self.results)
        return pq.read_table(io.BytesIO(out.getvalue()))

    def json_lines(self) -> bytes:
        out = io.BytesIO()
        write_json_lines(out, ResultReader.of(self.job), self.results)
        return out.getvalue()


def opened(table: pa.Table, typed_bytes: int, is_parquet: bool = False) -> tuple[Source, list[Any]]:
    """The file of a table, and its rows, as its conversion reads them."""
    with tempfile.NamedTemporaryFile() as file:
        file.write((parquet if is_parquet else arrow_stream)(table))
        file.flush()
        source = open_parquet(file.name, MAX_BYTES, typed_bytes) if is_parquet else open_arrow(file.name, typed_bytes)
        return source, list(source.rows)


def outcome(
    table: pa.Table, typed_bytes: int, scorers: Sequence[Scorer], is_parquet: bool = False, **options: Any
) -> Outcome:
    """Convert and score the file of a table, as workers do."""
    source, parts = opened(table, typed_bytes, is_parquet)
    names = list(source.names)
    columns = {
        feature.name: names.index(feature.name) for scorer in scorers for feature in scorer.card.features
    }  # fmt: skip
    cutter, totals = Cutter(",", len(names), 1000), TotalsFinder(Dialect(), columns.values())
    cut = chain.from_iterable(
        totals.feed(cutter.take(bytes(part.text), part.rows) if part.is_typed else cutter.feed(bytes(part.text)))
        for part in parts
    )
    chunks = [
        InputChunk.decode(
            InputChunk(one.first_row, one.rows, one.data, one.open_quotes, one.is_totals, one.is_typed).encode()
        )
        for one in chain(cut, totals.feed(cutter.finish()), totals.finish())
    ]
    added = [
        (name + number, is_number)
        for scorer, number in zip(scorers, ("", "_2"), strict=False)
        for name, is_number in _columns_of(scorer)
    ]
    header = b",".join(as_field(name, ",") for name in names)
    layout = Layout(",", len(names), columns, added=len(added) + 1, header=header, **options)
    every = [*added, ("error", False), *_optional_columns(layout)]
    new = replace(NEW, header=b",".join([header, *(as_field(name, ",") for name, _ in every)]), input_header=header,
                  added_columns=tuple(every), format="arrow")  # fmt: skip
    job = JobRecord(stored(JobRecord.encode_new(new, 1.0, 60))).job(new.id)
    schema = None if source.schema is None else _encoded(source.schema)
    scored = [score_chunk(one, layout, scorers, None, bisect=True) for one in chunks]
    for typed in (one.typed for one in scored if one.typed):
        assert typed.size == len(typed.text())
    return Outcome(replace(job, schema=schema), chunks, scored)


def _columns_of(scorer: Scorer) -> list[tuple[str, bool]]:
    card = scorer.card
    if card.kind is ModelKind.REGRESSOR:
        return [("prediction", True)]
    if card.kind is ModelKind.MULTICLASS_CLASSIFIER:
        return [("prediction", False), *((f"probability_{name}", True) for name in card.classes)]
    return [("prediction", False), ("probability", True)]


def _optional_columns(layout: Layout) -> list[tuple[str, bool]]:
    pairs = range(1, layout.explained + 1)
    explained = [(f"explain_{n}_{what}", what == "effect") for n in pairs for what in ("feature", "effect")]
    return [*([("warnings", False)] if layout.warnings else []), *explained]


def _encoded(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize()).decode()


@pytest.fixture(scope="module")
def lenient(scorer: Scorer) -> Scorer:
    """The default model as one that warns of what it has not seen."""
    features = tuple(feature.model_copy(update={"unseen": UnseenPolicy.WARN}) for feature in scorer.card.features)
    return Scorer(scorer.card.model_copy(update={"features": features}), scorer.pipeline)


@pytest.fixture(scope="module")
def others(scorer: Scorer) -> list[tuple[Scorer, list[str]]]:
    """A classifier of several classes and a regressor, each with the names of its features."""
    iris, kinds = load_iris(return_X_y=True, as_frame=True)
    diabetes, target = load_diabetes(return_X_y=True, as_frame=True)
    classes = kinds.map({0: 'se"tosa', 1: "versi,color", 2: "third"})
    flowers = LogisticRegression(max_iter=1000).fit(iris.values, classes)
    tree = DecisionTreeRegressor(max_depth=4, random_state=0).fit(diabetes.values, target)
    return [
        (scorer_of(scorer.card, iris, flowers, ModelKind.MULTICLASS_CLASSIFIER, Scores.PROBABILITY), list(iris)),
        (scorer_of(scorer.card, diabetes, tree, ModelKind.REGRESSOR, Scores.NONE), list(diabetes)),
    ]


WHOLE = st.one_of(st.integers(17, 90), st.sampled_from([None, 0, -1, 127]))
LARGE = st.one_of(WHOLE, st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 1000]))
REAL = st.one_of(
    WHOLE.map(lambda value: None if value is None else float(value)),
    st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 0.1, 1e20, 1e-7, 39.5, 1 / 3]), st.floats(width=32),
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from([
        "Male", "Female", "Private", "HS-grad", "White", "Divorced", None, "", " male ", "39", "nan", "NA", "?", "a,b",
        'say "hi"', "two\nlines", "\r", "Total", "sum:", "sex", "age", "\ufeffMale", "x" * 300, "é", "true", "=1",
    ]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
)  # fmt: skip
MOMENTS = st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)))
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    *((kind, WHOLE) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.float16())),
    (pa.int64(), LARGE),
    (pa.uint64(), LARGE.map(lambda value: value and abs(value))),
    *((kind, REAL) for kind in (pa.float32(), pa.float64())),
    *((kind, WORDS) for kind in TEXTS),
    (pa.bool_(), st.sampled_from([True, False, None])),
    (pa.null(), st.none()),
    (pa.decimal128(12, 3), WHOLE.map(lambda value: value and decimal.Decimal(value) / 8)),
    (pa.date32(), MOMENTS.map(lambda value: value and value.date())),
    (pa.date64(), MOMENTS.map(lambda value: value and value.date())),
    (pa.timestamp("us"), MOMENTS),
    # Before, offsets had seconds, which the text of a moment has not.
    (pa.timestamp("ns", "Europe/Berlin"), MOMENTS.filter(lambda value: value is None or value.year > 1900)),
    (pa.time64("ns"), MOMENTS.map(lambda value: value and value.time())),
    (pa.duration("ms"), st.one_of(st.none(), st.timedeltas(dt.timedelta(-9), dt.timedelta(9)))),
    (pa.binary(), st.one_of(st.none(), st.binary(max_size=3).filter(lambda value: b"\0" not in value))),
    (pa.list_(pa.int8()), st.one_of(st.none(), st.lists(WHOLE, max_size=2))),
    (pa.dictionary(pa.int32(), pa.int64()), LARGE),
]
"""Types of Arrow, each with values that it holds."""


def column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else round(value, 3) for value in values], kind)
    if pa.types.is_duration(kind):
        return pa.array(values, pa.duration("us")).cast(kind, safe=False)
    if pa.types.is_float16(kind):
        return pa.array(values, pa.float32()).cast(kind)
    return pa.array(values, kind)


@st.composite
def tables(draw: st.DrawFn, names: Sequence[str], usual: dict[str, list[Any]] | None = None) -> pa.Table:
    """Tables with these columns and some more, some of whose rows are as usual."""
    rows = draw(st.integers(1, 12))
    columns = {}
    for name in (*names, "note", "other"):
        kind, values = draw(st.sampled_from(KINDS))
        if usual and name in usual and draw(st.booleans()):
            columns[name] = pa.array([draw(st.sampled_from(usual[name])) for _ in range(rows)])
        else:
            columns[name] = column(kind, [draw(values) for _ in range(rows)])
    return pa.table(columns)


def check_same(table: pa.Table, typed_bytes: int, scorers: Sequence[Scorer], **options: Any) -> None:
    for is_parquet in (False, True):
        if is_parquet and not _fits_parquet(table):
            continue
        wanted = outcome(table, AS_CSV, scorers, is_parquet, **options)
        found = outcome(table, typed_bytes, scorers, is_parquet, **options)
        for one, other in zip(found.said, wanted.said, strict=True):
            assert one == other
        assert str(found.parquet().to_pylist()) == str(wanted.parquet().to_pylist())
        assert found.parquet().schema == wanted.parquet().schema
        assert found.json_lines() == wanted.json_lines()


def _fits_parquet(table: pa.Table) -> bool:
    return not any(pa.types.is_float16(kind) for kind in table.schema.types)


@examples(40)
@given(table=tables(list(PEOPLE), PEOPLE), typed_bytes=st.integers(60, 1500), warnings=st.booleans(),
       explained=st.sampled_from([0, 2]))  # fmt: skip
def test_results_rejects_and_exports_are_those_of_the_csv(
    scorer: Scorer, lenient: Scorer, table: pa.Table, typed_bytes: int, warnings: bool, explained: int
) -> None:
    check_same(table, typed_bytes, [lenient if warnings else scorer], warnings=warnings, explained=explained)


@examples(10)
@given(data=st.data(), typed_bytes=st.integers(60, 1500))
def test_results_of_other_kinds_of_models_are_those_of_the_csv(
    others: list[tuple[Scorer, list[str]]], data: st.DataObject, typed_bytes: int
) -> None:
    for scorer, names in others:
        check_same(data.draw(tables(names)), typed_bytes, [scorer])
    together = [name for _, names in others for name in names]
    check_same(data.draw(tables(list(dict.fromkeys(together)))), typed_bytes, [scorer for scorer, _ in others])


def people(rows: int) -> pa.Table:
    """A table of people, every hundredth of whom has an age that is out of range."""
    columns = {name: values * (rows // 2) for name, values in PEOPLE.items()}
    columns["age"] = [200 if at % 100 == 99 else 17 + at % 70 for at in range(rows)]
    return pa.table(columns)


def test_a_large_table_stays_typed_and_comes_back_in_its_types(scorer: Scorer) -> None:
    table = people(1000).append_column("note", pa.array(["a", "b"] * 500, pa.large_string()))
    found = outcome(table, 10_000, [scorer], is_parquet=True)
    step = found.chunks[0].rows
    assert [chunk.first_row for chunk in found.chunks] == list(range(1, 1001, step))
    assert all(chunk.is_typed for chunk in found.chunks)
    assert all(isinstance(one, TypedOutput) for one in found.results)
    assert found.said[2] == [990, 10, 0, 0]
    back = found.parquet()
    assert back.select(table.column_names).to_pylist() == table.to_pylist()
    assert {str(kind) for kind in back.schema.types} == {"int64", "string", "double"}
    assert [row.split(b",")[:4] for row in found.said[1][:2]] == [
        [b"100", b"age", b"200", b"out_of_range"], [b"200", b"age", b"200", b"out_of_range"]
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64(), pa.uint64()], ids=str)
def test_the_size_of_whole_numbers_is_known_without_their_text(kind: pa.DataType) -> None:
    lowest, highest = (int(getattr(np.iinfo(kind.to_pandas_dtype()), end)) for end in ("min", "max"))
    near = (sign * 10**digits + more for digits in range(20) for more in (-1, 0, 1) for sign in (-1, 1))
    numbers = pa.array([None, 0, lowest, highest, *(n for n in near if lowest <= n <= highest)], kind)
    for column in (numbers, numbers.slice(2, 1), numbers.slice(3), numbers.slice(0, 1)):
        batch = pa.record_batch([column, column], ["0", "1"])
        assert csv_size(batch) == len(csv_text(batch))


def test_a_batch_packed_by_the_version_before_has_the_size_of_its_text() -> None:
    """It packed the bare batch."""
    batch = pa.record_batch([pa.array([39, None, -4]), pa.array(["a", 'b"', None])], ["0", "1"])
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    assert text_size(out.getvalue().to_pybytes()) == len(csv_text(batch))


def test_rows_that_csv_has_to_judge_are_csv_and_their_neighbours_stay_typed(scorer: Scorer) -> None:
    place = people(2).column_names.index("sex")
    broken = people(200).set_column(place, "sex", pa.array([b"Male", b"\xff"] * 100).view(pa.string()))
    table = pa.concat_tables([people(200), broken, people(200)])
    found = outcome(table, 10_000, [scorer])
    assert {chunk.is_typed for chunk in found.chunks} == {True, False}
    assert found.said == outcome(table, AS_CSV, [scorer]).said
    assert found.said[2][1] == 100 + 4
    assert len(found.parquet()) == 600
    alone = pa.table({"age": [None, 39]})
    assert not any(part.is_typed for part in opened(alone, 1)[1])


def test_totals_below_typed_rows_are_found_at_the_end_alone(scorer: Scorer) -> None:
    total = pa.table({name: pa.array([None if name != "sex" else "Total"], kind)
                      for name, kind in zip(PEOPLE, people(2).schema.types, strict=True)})  # fmt: skip
    first, last = (pa.concat_tables([people(200), total]).combine_chunks() for _ in range(2))
    table = pa.concat_tables([first, last])
    found = outcome(table, 10_000, [scorer])
    assert [chunk.rows for chunk in found.chunks if chunk.is_totals] == [1]
    assert any(chunk.is_typed for chunk in found.chunks)
    assert found.said == outcome(table, AS_CSV, [scorer]).said
    assert found.said[3]["fault:totals_line:"] == 1


def test_a_typed_chunk_whose_attempts_are_used_up_is_rejected_as_its_csv_is(scorer: Scorer) -> None:
    layout = Layout(",", 7, {name: at for at, name in enumerate(PEOPLE)})
    [typed], [plain] = (outcome(people(20), size, [scorer]).chunks for size in (10_000, AS_CSV))
    assert (typed.is_typed, plain.is_typed) == (True, False)
    assert reject_chunk(typed, layout) == reject_chunk(plain, layout)
