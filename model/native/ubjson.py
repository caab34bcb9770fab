"""Read UBJSON (ubjson.org), the binary form of XGBoost's JSON, before XGBoost itself does."""

import struct
from typing import Any

import numpy as np

_NUMBERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_ARRAYS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_WORDS = {"Z": None, "T": True, "F": False, "N": None}
_MAX_DEPTH = 64


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._offset = 0

    def value(self, depth: int = 0) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        return self._value(self._read_marker(), depth)

    def _value(self, mark: str, depth: int) -> Any:
        if mark == "{":
            return self._object(depth)
        if mark == "[":
            return self._array(depth)
        if mark == "S":
            return self._text()
        if mark == "C":
            return self._read(1).decode("latin-1")
        if mark in _WORDS:
            return _WORDS[mark]
        return self._number(mark)

    def _object(self, depth: int) -> dict[str, Any]:
        items = {}
        while self._peek() != "}":
            name = self._text()
            items[name] = self.value(depth + 1)
        self._read_marker()
        return items

    def _array(self, depth: int) -> Any:
        kind = None
        if self._peek() == "$":
            self._read_marker()
            kind = self._read_marker()
        if self._peek() == "#":
            self._read_marker()
            length = self._length()
            if kind in _ARRAYS:
                dtype = np.dtype(_ARRAYS[kind])
                return np.frombuffer(self._read(length * dtype.itemsize), dtype)
            return [self._value(kind, depth + 1) if kind else self.value(depth + 1) for _ in range(length)]
        items = []
        while self._peek() != "]":
            items.append(self.value(depth + 1))
        self._read_marker()
        return items

    def _text(self) -> str:
        return self._read(self._length()).decode()

    def _length(self) -> int:
        length = self._number(self._read_marker())
        if not isinstance(length, int) or not 0 <= length <= len(self._content) - self._offset:
            raise ValueError("it has an impossible length")
        return length

    def _number(self, mark: str) -> Any:
        if mark not in _NUMBERS:
            raise ValueError(f"it has an unknown marker: {mark!r}")
        form = _NUMBERS[mark]
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _read(self, length: int) -> bytes:
        content = self._content[self._offset : self._offset + length]
        if len(content) != length:
            raise ValueError("it ends too early")
        self._offset += length
        return content

    def _read_marker(self) -> str:
        return self._read(1).decode("latin-1")

    def _peek(self) -> str:
        return self._content[self._offset : self._offset + 1].decode("latin-1")


def read(content: bytes) -> Any:
    """Return the value of a UBJSON document, numbers of one type as arrays; raise ValueError where it is not UBJSON."""
    return _Reader(content).value()
