"""Read from an ONNX file what ONNX Runtime does not tell of it: the labels of its classes.

Reads the wire format of protocol buffers (protobuf.dev/programming-guides/encoding) along the few fields of ONNX's
schema (onnx.proto) that lead to them, so that the library onnx is not needed.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_GRAPH, _NODE, _ATTRIBUTE = 7, 1, 5
_NAME, _INTS, _STRINGS = 1, 8, 9
_LABELS = {"classlabels_strings", "classlabels_int64s", "classlabels_ints"}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def class_labels(content: bytes) -> Iterator[list[Any]]:
    """Yield the class labels, integers or texts, of each operator of an ONNX model that has any."""
    for graph in _messages(content, _GRAPH):
        for node in _messages(graph, _NODE):
            for attribute in _messages(node, _ATTRIBUTE):
                labels = _labels(attribute)
                if labels:
                    yield labels


def names_in(text: str) -> list[str]:
    """Return the names in a text that is a JSON list, or that has commas between them."""
    with suppress(ValueError):
        names = json.loads(text)
        if isinstance(names, list):
            return [str(name) for name in names]
    return [name.strip() for name in text.split(",")]


def _labels(attribute: memoryview) -> list[Any]:
    name = ""
    labels: list[Any] = []
    for field, value in _fields(attribute):
        if field == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode(errors="replace")
        elif field == _STRINGS and isinstance(value, memoryview):
            labels.append(bytes(value).decode(errors="replace"))
        elif field == _INTS:
            labels += _packed_integers(value) if isinstance(value, memoryview) else [_to_signed(value)]
    return labels if name in _LABELS else []


def _messages(content: bytes | memoryview, field: int) -> Iterator[memoryview]:
    return (
        value for number, value in _fields(memoryview(content)) if number == field and isinstance(value, memoryview)
    )


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield field, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if length is None:
            if kind != _LENGTH:
                return
            length, place = _varint(content, place)
        yield field, content[place : place + length]
        place += length


def _packed_integers(content: memoryview) -> list[int]:
    place, values = 0, []
    while place < len(content):
        value, place = _varint(content, place)
        values.append(_to_signed(value))
    return values


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(content):
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, place


def _to_signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
