"""Arrow columns as CSV fields, and the types in which these come back. Pure.

A missing value is an empty field, an empty text a quoted one (``""``), so that the two can be told apart again.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_NOTHING = pa.scalar(b"", pa.binary())
_EMPTY_TEXT = pa.scalar(b'""', pa.binary())
_QUOTE = pa.scalar(b'"', pa.binary())
_SPECIAL = r'["\r\n,]'


IS_JSON = {b"scoreline": b"json"}
"""Metadata of a field that holds nested values, as JSON text."""


def plain_field(name: str, kind: pa.DataType) -> pa.Field:
    """Return the field in which a column comes back."""
    return pa.field(name, plain_type(kind), metadata=IS_JSON if pa.types.is_nested(kind) else None)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of a column come back: that of a dictionary's values, text for nested ones."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_date64(kind):
        return pa.date32()
    if pa.types.is_float16(kind):
        return pa.float32()
    scalar = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    moment = pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind)
    if scalar or moment or pa.types.is_boolean(kind) or pa.types.is_duration(kind):
        return kind
    return pa.string()


def plain_column(column: pa.Array) -> pa.Array:
    """Return a column in its plain type; texts of a dictionary as codes, of the values that they have only.

    Raises:
        pa.ArrowInvalid: an index of the dictionary is wrong.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain_column(column.storage)
    if pa.types.is_dictionary(kind):
        if is_text(kind.value_type) and not column.dictionary.null_count:
            return _compacted(column)
        return plain_column(column.dictionary_decode())
    plain = plain_type(kind)
    return _texts(column)[0] if plain == pa.string() else column.cast(plain)


def _compacted(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return texts with a dictionary of those that they have, in the order in which it holds them, and small codes."""
    _check_indices(column)
    texts, codes = column.dictionary.cast(pa.string()), column.indices.cast(pa.int64())
    used = np.bincount(codes.drop_null().to_numpy(), minlength=len(texts)) > 0
    if not used.all():
        codes = pa.array(np.cumsum(used) - 1).take(codes)
        texts = texts.filter(pa.array(used))
    small = next(kind for kind in (pa.int8(), pa.int16(), pa.int32()) if len(texts) < 1 << (kind.bit_width - 1))
    return pa.DictionaryArray.from_arrays(codes.cast(small), texts)


def coded_texts(column: pa.Array) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """Return the distinct values of a plain column as the texts that they are in CSV, and each row's code."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        coded = column
    elif pa.types.is_floating(kind):
        # By their bits: zero and minus zero are two texts.
        bits = column.view(pa.int64() if kind == pa.float64() else pa.int32()).dictionary_encode()
        coded = pa.DictionaryArray.from_arrays(bits.indices, bits.dictionary.view(kind))
    else:
        coded = column.dictionary_encode()
    texts, codes = _texts(coded.dictionary)[0], coded.indices.cast(pa.int32())
    # Other values than these have one text: NaN, and what is missing or empty.
    if codes.null_count:
        texts, codes = pa.concat_arrays([texts, pa.array([""], pa.string())]), pc.fill_null(codes, len(texts))
    distinct = texts.dictionary_encode()
    if len(distinct.dictionary) < len(texts):
        return distinct.dictionary, distinct.indices.take(codes).to_numpy()
    return texts, codes.to_numpy()


def csv_fields(column: pa.Array, alone: bool = False) -> pa.BinaryArray:
    """Return the values of a column as CSV fields; if it is the only one (``alone``), empty values are quoted."""
    if pa.types.is_dictionary(column.type):
        return pc.fill_null(csv_fields(column.dictionary).take(column.indices), _EMPTY_TEXT if alone else _NOTHING)
    texts, needs_quotes = _texts(column)
    fields = texts.cast(pa.binary())
    if needs_quotes:
        special = pc.match_substring_regex(fields, _SPECIAL)
        if pc.any(special).as_py():
            doubled = pc.replace_substring(fields, b'"', b'""')
            quoted = pc.binary_join_element_wise(_QUOTE, doubled, _QUOTE, _NOTHING)
            fields = pc.if_else(special, quoted, fields)
        fields = pc.if_else(pc.equal(pc.binary_length(fields), 0), _EMPTY_TEXT, fields)
    return pc.fill_null(fields, _EMPTY_TEXT if alone else _NOTHING)


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are texts as they are."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain_columns(columns: Sequence[pa.Array]) -> list[pa.Array] | None:
    """Return the columns as Arrow writes them as CSV without quotes; None if an empty text needs them.

    Raises:
        pa.ArrowIndexError: a value is in no dictionary, which writing would not notice.
    """
    plain = []
    for column in columns:
        texts, needs_quotes = _as_written(column)
        distinct = texts.dictionary if pa.types.is_dictionary(texts.type) else texts
        # Without quotes, an empty text would be a missing value.
        if needs_quotes and pc.min(pc.binary_length(distinct)).as_py() == 0:
            return None
        plain.append(texts)
    return plain


def _as_written(column: pa.Array) -> tuple[pa.Array, bool]:
    """Return a column that Arrow writes as CSV as its texts would be, and whether these may need quotes."""
    kind = column.type
    if pa.types.is_dictionary(kind) and (
        pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    ):
        _check_indices(column)
        return column, True
    return (column, False) if pa.types.is_integer(kind) else _texts(column)


def _check_indices(column: pa.DictionaryArray) -> None:
    limits = pc.min_max(column.indices).as_py()
    if limits["min"] is not None and not 0 <= limits["min"] <= limits["max"] < len(column.dictionary):
        raise pa.ArrowIndexError("a value is in no dictionary")


def _texts(column: pa.Array) -> tuple[pa.Array, bool]:  # noqa: PLR0911 - one for each kind of type
    """Return the values as texts, and whether these may need quotes."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _texts(column.storage)
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()), False
    if is_text(kind):
        return column.cast(pa.string()), True
    if pa.types.is_duration(kind):
        return column.cast(pa.int64()).cast(pa.string()), False
    plain = plain_type(kind)
    if plain != pa.string():
        return column.cast(plain).cast(pa.string()), False
    write = _binary_text if _is_binary(kind) else _json_text
    return pa.array([None if value is None else write(value) for value in column.to_pylist()], pa.string()), True


def _is_binary(kind: pa.DataType) -> bool:
    views = pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(views or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _binary_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _json_text(value: Any) -> str:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS
    return orjson.dumps(value, default=_json_default, option=options).decode()


def _json_default(value: Any) -> Any:
    return _binary_text(value) if isinstance(value, bytes) else str(value)
