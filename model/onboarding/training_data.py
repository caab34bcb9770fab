"""The table on which a pipeline was trained: the texts in its file, and what pandas makes of them."""

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from model.errors import RefusedModel
from model.schema import closest_header, normalise_name

DELIMITERS = ",;\t|"
MAX_COLUMNS = 2000
"""The most columns that an upload may have."""
_NAMED = 20
_OPENERS = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
# An Arrow stream has no magic number, but its first message begins with this mark.
_PARQUET, _ARROW = b"PAR1", (b"ARROW1", b"\xff\xff\xff\xff")
_PLAIN_DECIMAL = r"[+-]?\d+,\d+"
_GROUPED_DECIMAL = r"[+-]?\d{1,3}(?:\.\d{3})+,\d+"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A table of n rows: ``texts``, each value as a CSV file holds it, and ``frame``, the values as pandas has them.

    With ``exact``, the file says which type each column has; otherwise that is pandas' guess, and other readings of the
    texts are possible. ``dtypes`` are the columns whose dtype the user gave; ``decimal_commas`` tells whether its
    numbers have some.
    """

    path: Path
    texts: pd.DataFrame
    frame: pd.DataFrame
    exact: bool = False
    dtypes: frozenset[str] = frozenset()
    decimal_commas: bool = False

    @property
    def columns(self) -> list[str]:
        """The names of the columns, as spelt."""
        return list(self.texts.columns)

    def __len__(self) -> int:
        return len(self.texts)

    def name_of(self, name: str) -> str:
        """Return the column of that name, or the only one whose name is spelt alike.

        Raise RefusedModel, with the name that was probably meant.
        """
        if name in self.texts.columns:
            return name
        alike = [header for header in self.columns if normalise_name(header) == normalise_name(name)]
        if len(alike) == 1:
            return alike[0]
        close = closest_header(normalise_name(name), self.columns)
        hint = f"; did you mean {close!r}?" if close else f"; there are: {', '.join(self.columns[:_NAMED])}"
        raise RefusedModel(f"{self.path} has no column {name!r}{hint}")


def read_training_data(path: Path, dtypes: Mapping[str, str] | None = None) -> TrainingData:
    """Read a CSV, Parquet, Arrow or Feather file; ``dtypes`` gives the dtype of columns where the file does not.

    A CSV file may be compressed, and use any of ``, ; tab |`` and decimal commas. Raise RefusedModel where it cannot be
    read, or has fewer than two rows or too many columns.
    """
    try:
        content = path.read_bytes()
        if content.startswith((_PARQUET, *_ARROW)):
            data = _from_arrow(path, _arrow_table(content))
        else:
            data = _from_csv(path, _text_of(content))
    except (OSError, ValueError, pa.ArrowException, EOFError, lzma.LZMAError) as error:
        raise RefusedModel(f"{path} cannot be read as a table: {_first_line(str(error))}") from error
    if len(data) == 0:
        raise RefusedModel(f"{path} has no rows")
    if len(data) == 1:
        raise RefusedModel(f"{path} has one row; at least two are needed")
    return with_dtypes(data, dtypes or {})


def with_dtypes(data: TrainingData, dtypes: Mapping[str, str]) -> TrainingData:
    """Return the table with the dtypes that the user gave; raise RefusedModel where a column cannot have its dtype."""
    frame, declared = data.frame, set()
    for column, dtype in dtypes.items():
        name = data.name_of(column)
        declared.add(name)
        try:
            frame = frame.assign(**{name: _as_dtype(data.texts[name], data.frame[name], dtype)})
        except (TypeError, ValueError) as error:
            raise RefusedModel(
                f"column {name!r} of {data.path} cannot be read as {dtype}: {_first_line(str(error))}"
            ) from error
    return replace(data, frame=frame, dtypes=data.dtypes | declared)


def with_missing_words(data: TrainingData, words: Mapping[str, Sequence[str]]) -> TrainingData:
    """Return the table with some exact texts of columns as missing values, as ``read_csv(na_values=…)`` reads them."""
    texts, frame = data.texts, data.frame
    for name, absent in words.items():
        masked = texts[name].isin(absent) & (texts[name] != "")
        if not masked.any():
            continue
        texts = texts.assign(**{name: texts[name].mask(masked, "")})
        is_given = data.exact or name in data.dtypes
        # Without its words for "missing", a column of texts may be one of numbers.
        column = frame[name].mask(masked) if is_given else as_pandas_reads(texts[name].tolist())
        frame = frame.assign(**{name: column})
    return replace(data, texts=texts, frame=frame)


def as_pandas_reads(
    texts: Sequence[str], *, dtype: str | None = None, missing: Sequence[str] = (), no_missing: bool = False
) -> pd.Series:
    """Return what pandas' ``read_csv`` makes of a column of texts, with ``missing`` words besides its own."""
    # By ``read_csv`` itself, whose rules are too many to repeat. Quoted, since texts may hold commas; blank lines are
    # rows here.
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([[text] for text in ("column", *texts)])
    buffer.seek(0)
    options = {"na_values": list(missing)} if missing else {}
    frame = pd.read_csv(
        buffer, dtype=dtype, keep_default_na=not no_missing, low_memory=False, skip_blank_lines=False, **options
    )
    return pd.Series(frame["column"])


def _as_dtype(texts: pd.Series, values: pd.Series, dtype: str) -> pd.Series:
    if dtype in ("str", "string", "object"):
        # Words for "missing" are missing values here too, as in ``read_csv`` with a dtype.
        return texts.where(values.notna()).astype(dtype)
    if dtype == "category":
        # Categories of texts, as in ``read_csv`` with this dtype: zip codes keep their zeros.
        return texts.where(values.notna()).astype("str").astype("category")
    if dtype.startswith("datetime64"):
        return pd.to_datetime(values)
    return values.astype(dtype)


def _text_of(content: bytes) -> str:
    for magic, decompress in _OPENERS.items():
        if content.startswith(magic):
            content = decompress(content)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Excel saves as "CSV" on a Western Windows.
        return content.decode("cp1252")


def _from_csv(path: Path, text: str) -> TrainingData:
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    if (columns := header.count(delimiter) + 1) > MAX_COLUMNS:
        raise RefusedModel(f"{path} has {columns:,} columns; an upload may have {MAX_COLUMNS:,}")
    # Otherwise pandas takes the first column for an index where lines end with a delimiter, and guesses the dtype of
    # a large column piece by piece.
    read = {"sep": delimiter, "index_col": False, "low_memory": False}
    texts = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, **read)
    decimals = _decimal_commas(texts) if delimiter != "," else []
    marks = {"decimal": ","} if decimals else {}
    if any(texts[name].str.fullmatch(_GROUPED_DECIMAL).any() for name in decimals):
        marks["thousands"] = "."
    frame = pd.read_csv(io.StringIO(text), **read, **marks)
    for name in decimals:
        plain = texts[name].str.replace(".", "", regex=False) if "thousands" in marks else texts[name]
        texts[name] = plain.str.replace(",", ".", regex=False)
    texts.columns = frame.columns = pd.Index([str(name) for name in texts.columns])
    return TrainingData(path, texts, frame, decimal_commas=bool(decimals))


def _decimal_commas(texts: pd.DataFrame) -> list[str]:
    """Return the columns of numbers with a decimal comma, which pandas would have to be told of."""
    decimals = []
    for name in texts.columns:
        present = texts[name][texts[name].str.strip() != ""]
        numbers = present.str.fullmatch(rf"{_PLAIN_DECIMAL}|{_GROUPED_DECIMAL}")
        if numbers.any() and (numbers | present.str.fullmatch(r"[+-]?[\d.]+")).all():
            decimals.append(name)
    return decimals


def _arrow_table(content: bytes) -> pa.Table:
    if content.startswith(_PARQUET):
        return pq.read_table(pa.BufferReader(content))
    if content.startswith(_ARROW[0]):
        return feather.read_table(pa.BufferReader(content))
    return pa.ipc.open_stream(content).read_all()


def _from_arrow(path: Path, table: pa.Table) -> TrainingData:
    if table.num_columns > MAX_COLUMNS:
        raise RefusedModel(f"{path} has {table.num_columns:,} columns; an upload may have {MAX_COLUMNS:,}")
    frame = table.to_pandas().reset_index(drop=True)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    texts = {}
    for name in frame.columns:
        texts[name] = _as_texts(frame[name], path)
    return TrainingData(path, pd.DataFrame(texts, index=frame.index), frame, exact=True)


def _as_texts(values: pd.Series, path: Path) -> pd.Series:
    """Return the values as a CSV file would hold them, missing ones empty."""
    plain = values.astype(object)
    if plain.map(lambda value: isinstance(value, list | dict | tuple | set | np.ndarray)).any():
        raise RefusedModel(f"column {values.name!r} of {path} holds lists or structures; values must be plain ones")
    if pd.api.types.is_datetime64_any_dtype(values):
        moments = values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
        plain = moments.map(lambda moment: moment.isoformat(), na_action="ignore").astype(object)
    return plain.where(values.notna(), "").astype(str)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
