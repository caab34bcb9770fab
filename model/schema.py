"""A model's features in order, and which column of a file or key of a record holds which feature.

Pure: values in, values out. Imports the standard library and pydantic only, since the web process loads it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import islice

from pydantic import BaseModel, ConfigDict

from model.feature import Fault, FaultCode, Feature, FeatureKind, Scalar, UnseenPolicy, Value, Warned
from model.parsing import MAX_ECHO, shown

__all__ = [
    "MAX_ECHO",
    "ColumnMatch",
    "Fault",
    "FaultCode",
    "Feature",
    "FeatureKind",
    "MissingColumn",
    "Scalar",
    "Schema",
    "UnseenPolicy",
    "Value",
    "Warned",
    "closest_header",
    "normalise_name",
    "shown",
]

# Similar names are looked for among this many at most, since each comparison takes time.
MAX_COMPARED = 200
_SEPARATORS = re.compile(r"[\s._-]+")


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A feature without a column, and the header of the file that may have been meant."""

    name: str
    did_you_mean: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """Which column of a file holds which feature.

    ``columns`` maps a feature's name to the index of its (first) column, from 0. ``duplicates`` are the headers of
    further columns for the same feature, ``extra`` those of columns for none.
    """

    columns: dict[str, int]
    missing: tuple[MissingColumn, ...]
    duplicates: tuple[str, ...]
    extra: tuple[str, ...]


def normalise_name(header: str) -> str:
    """Return the form in which headers are compared: ``Marital Status``, ``marital.status`` → ``marital_status``."""
    return _SEPARATORS.sub("_", header.strip().casefold())


def closest_header(name: str, headers: Iterable[str]) -> str | None:
    """Return the header, as spelt, that was probably meant for the feature ``name``, or None.

    A header is close if its letters are similar (difflib), or if it has only words of the name (``hours`` for
    ``hours_per_week``).
    """
    # Reversed, so that of headers spelt alike the first stays; cut, since comparing takes time quadratic in the length.
    by_spelling = {normalise_name(shown(header)): header for header in reversed(list(headers))}
    similar = get_close_matches(name, by_spelling, n=1)
    words = set(name.split("_"))
    subsets = [header for header in by_spelling if header and set(header.split("_")) <= words]
    candidates = [*similar, *subsets]
    return by_spelling[candidates[0]] if candidates else None


class Schema(BaseModel):
    """All features of a model, in the order in which its pipeline takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[Feature, ...]

    def match_columns(self, header: Sequence[str]) -> ColumnMatch:
        """Return which column of ``header`` holds which feature, and which are missing, duplicate or extra.

        Headers are names of features or, where no column has the name, their titles.
        """
        features = [self._feature(column) for column in header]
        named = {feature.name for feature in features if feature}
        columns: dict[str, int] = {}
        duplicates: list[str] = []
        extra: list[str] = []
        for index, (column, of_name) in enumerate(zip(header, features, strict=True)):
            feature = of_name or self._by_title.get(normalise_name(column))
            if feature is None or (of_name is None and feature.name in named):
                extra.append(column)
            elif feature.name in columns:
                duplicates.append(column)
            else:
                columns[feature.name] = index
        missing = self._missing_columns(columns, extra)
        return ColumnMatch(columns, missing, tuple(duplicates), tuple(extra))

    def count_columns(self, header: Sequence[str]) -> int:
        """Return how many features have a column in ``header``."""
        found = (self._feature(column) or self._by_title.get(normalise_name(column)) for column in header)
        return len({feature.name for feature in found if feature})

    def validate_record(self, record: Mapping[str, object]) -> tuple[dict[str, Value], list[Fault], list[Fault]]:
        """Return the values of one record in schema order, all faults, and all warnings.

        A feature at fault has no value. Keys are compared as headers are; an absent key counts as missing, other keys
        are ignored.
        """
        given = {feature.name: record[key] for key in record if (feature := self._feature(key)) is not None}
        extra = [key for key in islice(record, MAX_COMPARED) if self._feature(key) is None]
        values: dict[str, Value] = {}
        faults: list[Fault] = []
        warnings: list[Fault] = []
        for feature in self.features:
            value = feature.read_json(given.get(feature.name))
            if isinstance(value, Warned):
                warnings.append(value.fault)
                value = value.value
            if not isinstance(value, Fault):
                values[feature.name] = value
            elif feature.name in given:
                faults.append(value)
            else:
                faults.append(self._missing(feature, extra))
        return values, faults, warnings

    def _missing(self, feature: Feature, extra: Sequence[str]) -> Fault:
        """Return the fault of a record without ``feature``, whose other keys are ``extra``."""
        spelling = normalise_name(feature.name)
        key = closest_header(spelling, extra)
        alike = [other.name for other in self.features if normalise_name(other.name) == spelling]
        if key is not None and len(alike) > 1 and normalise_name(key) == spelling:
            names = " or ".join(map(repr, alike))
            return feature.missing(hint=f"{shown(key)!r} could be {names}: write the name exactly")
        return feature.missing(key)

    def _feature(self, header: str) -> Feature | None:
        """Return the feature of that name, or the only one whose name is spelt alike."""
        return self._by_name.get(header) or self._by_spelling.get(normalise_name(header))

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @cached_property
    def _by_spelling(self) -> dict[str, Feature]:
        """The features by normalised name, without those spelt alike: these go by their exact names."""
        return self._by_unique(normalise_name(feature.name) for feature in self.features)

    @cached_property
    def _by_title(self) -> dict[str, Feature]:
        """The features by normalised title, without titles that several have or that spell the name of another one."""
        names = {normalise_name(feature.name) for feature in self.features}
        by_title = self._by_unique(normalise_name(feature.title) for feature in self.features)
        return {title: feature for title, feature in by_title.items() if title not in names}

    def _by_unique(self, spellings: Iterable[str]) -> dict[str, Feature]:
        """Return the features by their spellings, without those that are spelt alike."""
        pairs = list(zip(spellings, self.features, strict=True))
        counts = Counter(spelling for spelling, _ in pairs)
        return {spelling: feature for spelling, feature in pairs if counts[spelling] == 1}

    def _missing_columns(self, columns: Mapping[str, int], extra: Sequence[str]) -> tuple[MissingColumn, ...]:
        return tuple(
            MissingColumn(feature.name, closest_header(normalise_name(feature.name), extra))
            for feature in self.features
            if feature.name not in columns
        )
