"""A model's schema as a TOML file that people edit: its texts, its features, and how its labels are decided."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tomlkit.items import Table

from model.errors import RefusedModel
from model.schema import Fault, Feature, FeatureKind

_HEAD = """The name and the input features of the model. Edit it, then add the model again with --schema and this file.
kind: number, category, boolean, date or text. missing_allowed: an empty value is given to the pipeline as missing.
unseen: what happens to a number outside minimum and maximum, or to another category: "reject" the record, "warn" (score
it with a warning) or "missing" (score it without the value, with a warning). labels: what people read for a category.
ignore_case, ignore_spaces: whether another letter case, or spaces around it, make no difference to a category; with
unseen = "reject", they never do.
missing_words: the exact texts that mean "no value", in place of the usual ones, such as ["", "-999"].
pandas_dtype: the dtype in which the pipeline gets a column, such as "category", "str" or "int64"."""
_ALWAYS = ("name", "title", "kind", "missing_allowed")


class SchemaFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    description: str
    target: str
    positive_class: str | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    features: tuple[Feature, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file; raise RefusedModel, which says what is wrong and where."""
        try:
            document = tomllib.loads(path.read_text("utf-8"))
            schema = cls.model_validate(document)
        except OSError as error:
            raise RefusedModel(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise RefusedModel(f"{path}: {_first_error(error, document)}") from error
        except ValueError as error:  # tomllib's own errors and those of decoding
            raise RefusedModel(f"{path} is not TOML: {error}") from error
        for feature in schema.features:
            if wrong := contradiction(feature):
                raise RefusedModel(f"{path}: feature {feature.name!r}: {wrong}")
        return schema

    def dump(self) -> str:
        """Return the text of the file."""
        # ``tomlkit`` writes comments and multi-line arrays; the standard library only reads.
        document = tomlkit.document()
        for line in _HEAD.splitlines():
            document.add(tomlkit.comment(line))
        for name, value in self.model_dump(mode="json", exclude={"features"}, exclude_none=True).items():
            document.add(name, value)
        tables = tomlkit.aot()
        for feature in self.features:
            tables.append(_table(feature))
        document.add("features", tables)
        return tomlkit.dumps(document)


def contradiction(feature: Feature) -> str | None:
    """Return what contradicts itself in a feature, or None."""
    low, high = feature.minimum, feature.maximum
    if low is not None and high is not None and low > high:
        return f"minimum {low:g} is larger than maximum {high:g}"
    if feature.kind is FeatureKind.CATEGORY and not feature.categories:
        return "a category needs categories"
    if len(set(feature.categories)) < len(feature.categories):
        return "a category is listed twice"
    if unknown := sorted(set(feature.labels) - set(feature.categories)):
        return f"there is a label for {unknown[0]!r}, which is not a category"
    for name in ("default", "example"):
        value = getattr(feature, name)
        if value is not None and isinstance(fault := feature.parse_json(value), Fault):
            return f"{name}: {fault.detail}"
    return None


def _table(feature: Feature) -> Table:
    table = tomlkit.table()
    values = feature.model_dump(mode="json", exclude_defaults=True)
    for name in (*_ALWAYS, *(name for name in values if name not in _ALWAYS)):
        value = values.get(name, getattr(feature, name))
        if name == "categories":
            array = tomlkit.array()
            array.extend(value)
            table.add(name, array.multiline(len(value) > 6))
        else:
            table.add(name, value)
    return table


def _first_error(error: ValidationError, document: Mapping[str, Any]) -> str:
    """Return the first error and where it is: a feature by its name or, without one, by its number from 1."""
    first = error.errors(include_url=False)[0]
    match first["loc"]:
        case ("features", int(place), *rest):
            name = document["features"][place].get("name") if isinstance(document["features"][place], dict) else None
            where = ": ".join([f"feature {name!r}" if name else f"feature number {place + 1}", *map(str, rest)])
        case location:
            where = ".".join(map(str, location))
    return f"{where}: {first['msg']}" if where else first["msg"]
