"""The parameters of an upload, defined once: their names, their types in the OpenAPI description, and their texts.

``web.uploads.options`` turns the texts into values, since most of them depend on the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Self

from pydantic import Field, WithJsonSchema

from jobs.csv.decoding import ENCODINGS
from jobs.formats.detection import Format
from jobs.state import Visibility

_PROBABILITY = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
_COUNT = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
_VISIBILITY = {"type": "string", "enum": list(Visibility), "default": Visibility.PRIVATE.value}
_FLAG = {"type": "boolean", "default": False}
_DECIMAL = {"anyOf": [{"type": "string"}, {"type": "null"}], "enum": ["", ".", ","]}
_ENCODING = {"anyOf": [{"type": "string"}, {"type": "null"}], "enum": ["", *ENCODINGS]}

_FORMAT = {"anyOf": [{"type": "string"}, {"type": "null"}], "enum": ["", *Format]}


Encoding = Annotated[
    str | None,
    WithJsonSchema(_ENCODING),
    Field(
        description="encoding of the file, if it should not be detected: one of these, by any of its names, "
        "or `utf-16-le` or `utf-16-be` for a file without a byte order mark"
    ),
]


@dataclass(slots=True)
class CorrectionsForm:
    """Parameters of corrections, as those of an upload."""

    encoding: Encoding = None


@dataclass(slots=True)
class UploadForm:
    """Parameters of an upload as the client sent them, in the query or, in a multipart body, as form fields."""

    model: Annotated[
        str | None,
        Field(
            description="model to score with, by default the default model; two with a comma between are compared; "
            "`name@version` is a version"
        ),
    ] = None
    version: Annotated[str | None, Field(description="version of the model; by default its current one")] = None
    filename: Annotated[str | None, Field(description="name of the file (raw bodies)")] = None
    threshold: Annotated[
        str | None,
        WithJsonSchema(_PROBABILITY),
        Field(description="rows with at least this probability are classified as positive"),
    ] = None
    encoding: Encoding = None
    delimiter: Annotated[
        str | None,
        Field(
            description="character that separates fields, if it should not be detected; a space means runs of spaces"
        ),
    ] = None
    decimal: Annotated[
        str | None,
        WithJsonSchema(_DECIMAL),
        Field(description="decimal mark of the numbers in the file, if it should not be detected"),
    ] = None
    explain: Annotated[
        str | None,
        WithJsonSchema(_COUNT),
        Field(description="number of features with the largest effects to add to each row, with their effects"),
    ] = None
    warnings: Annotated[
        str | None,
        WithJsonSchema(_FLAG),
        Field(description="add a column that lists values of a scored row that did not occur in training"),
    ] = None
    drop_results: Annotated[
        str | None,
        WithJsonSchema(_FLAG),
        Field(description="drop the columns that earlier results added to the file, instead of adding `prediction_2`"),
    ] = None

    format: Annotated[
        str | None,
        WithJsonSchema(_FORMAT),
        Field(description="format of the file, if its first bytes do not tell"),
    ] = None
    sheet: Annotated[
        str | None, Field(description="name or number (from 1) of a workbook's sheet; by default the first one")
    ] = None
    visibility: Annotated[
        str | None,
        WithJsonSchema(_VISIBILITY),
        Field(description="`team`: all who are signed in see the job; by default only its owner and administrators do"),
    ] = None

    NAMES: ClassVar[tuple[str, ...]]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """Return the parameters among the given values; empty ones count as not given."""
        return cls(**{name: values[name] for name in cls.NAMES if values.get(name)})


UploadForm.NAMES = tuple(field.name for field in fields(UploadForm))


@dataclass(slots=True)
class PreflightForm(UploadForm):
    """Parameters of a preflight."""

    whole: Annotated[
        str | None,
        WithJsonSchema(_FLAG),
        Field(
            description="the body is the whole file: its last record is complete, even without a line end; only in the "
            "query"
        ),
    ] = None
