"""The distinct faults of a column as Arrow arrays, since each row of a bad file may have its own. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.schema import MAX_ECHO, Fault, FaultCode

_NO_TEXTS = pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of one column, or of whole records (None): codes, values ("" for none) and details, each of shape (n,)."""

    column: str | None
    codes: pa.StringArray
    values: pa.StringArray
    details: pa.StringArray

    @classmethod
    def of(cls, column: str | None, faults: Sequence[Fault]) -> Self:
        """Return faults of one column as arrays."""
        texts = ([fault.code for fault in faults], [fault.value or "" for fault in faults], [f.detail for f in faults])
        return cls(column, *(text_array(column) for column in texts))

    @classmethod
    def alike(cls, column: str | None, code: FaultCode, values: pa.StringArray, details: pa.StringArray) -> Self:
        """Return faults with the same code."""
        return cls(column, pa.repeat(pa.scalar(code.value), len(values)), values, details)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the faults of one or more parts, one after another."""
        arrays = zip(*((part.codes, part.values, part.details) for part in parts), strict=True)
        return cls(parts[0].column, *(pa.concat_arrays(pieces) for pieces in arrays))

    def __len__(self) -> int:
        return len(self.codes)

    def rewritten(self, rewrite: Callable[[str], str]) -> Self:
        """Return the faults with values and details rewritten."""
        values, details = ([rewrite(text) for text in column.to_pylist()] for column in (self.values, self.details))
        return type(self)(self.column, self.codes, pa.array(values, pa.string()), pa.array(details, pa.string()))

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the faults at the given indices."""
        wanted = pa.array(places)
        return type(self)(self.column, *(column.take(wanted) for column in (self.codes, self.values, self.details)))


def text_array(texts: Sequence[str]) -> pa.StringArray:
    """Return texts as an Arrow array; what is not valid Unicode becomes a question mark."""
    if not texts:
        return _NO_TEXTS
    # JSON may hold half of a surrogate pair, which Arrow refuses.
    return pa.array([text.encode("utf-8", "replace") for text in texts], pa.binary()).cast(pa.string())


def all_shown(texts: pa.StringArray) -> pa.StringArray:
    """Return what ``shown`` makes of each text."""
    long = pc.greater(pc.utf8_length(texts), MAX_ECHO)
    if not pc.any(long).as_py():
        return texts
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, MAX_ECHO - 1), "…", "")
    return pc.if_else(long, cut, texts)
