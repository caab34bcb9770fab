"""What is found out about a pipeline before it becomes a model: how it reads the user's table, and its predictions."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from model.card import ModelKind
from model.errors import RefusedModel
from model.onboarding.codes import check_codes, check_wide_numbers
from model.onboarding.known_values import KnownValues, known_values
from model.onboarding.pipeline_inspection import PipelineInspection, inspect_pipeline
from model.onboarding.readings import user_frame
from model.onboarding.reference import Reference, ask_pipeline, failure_reason, predicts_all, with_several_targets
from model.onboarding.schema_inference import infer_feature, with_distinct_titles, with_missing_words_of
from model.onboarding.training_data import TrainingData, with_dtypes, with_missing_words
from model.onboarding.truth import Truth, name_classes, truth_of
from model.schema import Feature, FeatureKind
from model.validate import parse_distinct

_TEXT_DTYPES = ("str", "object", "string", "category")


@dataclass(frozen=True, slots=True)
class ReadRecords:
    """Records as the product reads them: ``values``, shape (n, features); ``faultless``, (n,): those it accepts."""

    values: pd.DataFrame
    faultless: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Findings:
    """A pipeline, the records of its training data, and its predictions for them.

    ``texts``, shape (n, features), are the records as a CSV file holds them, ``frame`` as the pipeline was fitted on
    them, ``read`` as the product reads them by ``features``. ``truth`` is the actual target, where there is one.
    """

    inspection: PipelineInspection
    texts: pd.DataFrame
    frame: pd.DataFrame
    reference: Reference
    features: tuple[Feature, ...]
    read: ReadRecords
    truth: Truth | None
    decimal_commas: bool = False

    @property
    def answered_frame(self) -> pd.DataFrame:
        """The records that the pipeline can predict, as the user has them."""
        return self.frame[self.reference.answered].reset_index(drop=True)

    @property
    def answered_values(self) -> pd.DataFrame:
        """The records that the pipeline can predict, as the product reads them."""
        return self.read.values[self.reference.answered].reset_index(drop=True)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which records, shape (n,), the pipeline can predict and the product accepts, with a known target."""
        usable = self.reference.answered & self.read.faultless
        return usable & self.truth.known if self.truth else usable

    def accepted(self) -> "Findings":
        """Return the findings on the records that the product accepts, with their labels in the index of ``texts``.

        Raise RefusedModel where it accepts none.
        """
        rows, reference, truth = self.read.faultless, self.reference, self.truth
        if not rows.any():
            raise RefusedModel(f"the schema rejects all {len(rows):,} rows of the data")
        # Predictions exist for answered rows only.
        kept = rows[reference.answered]
        return replace(
            self,
            texts=self.texts[rows],
            frame=self.frame[rows].reset_index(drop=True),
            reference=replace(
                reference,
                answered=reference.answered[rows],
                predicted=reference.predicted[kept],
                answers=reference.answers[kept],
            ),
            read=ReadRecords(self.read.values[rows].reset_index(drop=True), rows[rows]),
            truth=truth and Truth(truth.values[rows], truth.known[rows]),
        )


def gather_findings(
    pipeline: Any,
    data: TrainingData,
    targets: Sequence[str] = (),
    names: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    features: Sequence[Feature] | None = None,
) -> Findings:
    """Find out how a pipeline reads a table, and what it predicts for each row.

    ``names`` are those of its inputs and ``classes`` those of an encoded target, where these are known; ``features``
    are written ones. Raise RefusedModel where the pipeline accepts no reading of the table, or cannot be served.
    """
    inspection = inspect_pipeline(pipeline, data, targets, names)
    columns = [data.name_of(name) for name in inspection.names]
    if clashing := [target for target in targets if data.name_of(target) in columns]:
        raise RefusedModel(f"the pipeline takes {clashing[0]!r} itself, so that it cannot be the target: see --target")
    known = known_values(pipeline, columns)
    # Before the search for a reading: what the schema says of a column is not to be guessed.
    data = with_dtypes(data, written_dtypes(data, features or (), known))
    words = {data.name_of(feature.name): feature.missing_words for feature in features or ()}
    frame = user_frame(with_missing_words(data, words), columns, known, predicts_all(inspection))
    if frame is None:
        detail = failure_reason(inspection, data.frame[columns].set_axis(list(inspection.names), axis=1))
        advice = "give the dtypes of its columns with --dtypes column=str,… or the data as Parquet"
        raise RefusedModel(
            f"the pipeline fails on {data.path}: {detail}. If the data was read in another way, {advice}"
        )
    # The readings go by the table's names. From here on, columns have the names that the pipeline knows.
    frame = frame.set_axis(list(inspection.names), axis=1)
    texts = data.texts[columns].set_axis(list(inspection.names), axis=1)
    inspection = with_several_targets(inspection, frame)
    if inspection.classes and inspection.kind in (ModelKind.BINARY_CLASSIFIER, ModelKind.MULTICLASS_CLASSIFIER):
        named = name_classes(inspection, data, targets[0] if targets else None, classes)
        inspection = replace(inspection, class_names=tuple(named))
    reference = ask_pipeline(inspection, frame)
    check_wide_numbers(inspection, frame[reference.answered])
    # A written schema or a typed file leaves no doubt about how columns were read.
    if features is None and not data.exact:
        settled = data.dtypes | known.keys()
        undecided = [name for name, own in zip(inspection.names, columns, strict=True) if own not in settled]
        check_codes(inspection, texts[reference.answered], frame[reference.answered], undecided)
    if features is None:
        kept = {name: known[own] for name, own in zip(inspection.names, columns, strict=True) if own in known}
        features = _inferred(inspection, texts, frame, kept)
    features = tuple(features)
    return Findings(
        inspection=inspection,
        texts=texts,
        frame=frame,
        reference=reference,
        features=features,
        read=read_records(texts, features),
        truth=truth_of(inspection, data, targets) if targets else None,
        decimal_commas=data.decimal_commas,
    )


def read_records(texts: pd.DataFrame, features: Sequence[Feature]) -> ReadRecords:
    """Read each row as an upload is read; a value at fault is missing."""
    faultless = np.ones(len(texts), np.bool_)
    columns = {}
    for feature in features:
        # Each distinct text is parsed once: a column has few of them, compared with its rows.
        coded = pa.array(texts[feature.name], pa.string()).dictionary_encode()
        parsed = parse_distinct(feature, coded.dictionary)
        codes = coded.indices.to_numpy()
        faultless &= ~np.isin(codes, parsed.at_fault)
        columns[feature.name] = parsed.values[codes]
    return ReadRecords(pd.DataFrame(columns), faultless)


def written_features(features: Sequence[Feature], names: Sequence[str]) -> tuple[Feature, ...]:
    """Return a written schema's features in the pipeline's order; raise RefusedModel unless they are the same ones."""
    given = {feature.name: feature for feature in features}
    if missing := [name for name in names if name not in given]:
        raise RefusedModel(f"the schema lacks features that the pipeline takes: {', '.join(missing)}")
    if extra := [name for name in given if name not in names]:
        raise RefusedModel(f"the schema has features that the pipeline does not take: {', '.join(extra)}")
    if len(given) != len(features):
        raise RefusedModel("the schema has two features of the same name")
    return tuple(given[name] for name in names)


def written_dtypes(data: TrainingData, features: Sequence[Feature], known: Container[str]) -> dict[str, str]:
    """Return the dtypes of columns that look like numbers and are texts by a schema.

    Those whose values the pipeline knows are left out: these tell more.
    """
    dtypes = {}
    for feature in features:
        name, dtype = data.name_of(feature.name), feature.pandas_dtype or "object"
        is_text = feature.kind in (FeatureKind.CATEGORY, FeatureKind.TEXT) and dtype in _TEXT_DTYPES
        is_open = not data.exact and name not in data.dtypes and name not in known
        if is_text and is_open and pd.api.types.is_numeric_dtype(data.frame[name]):
            dtypes[name] = dtype
    return dtypes


def _inferred(
    inspection: PipelineInspection, texts: pd.DataFrame, frame: pd.DataFrame, kept: Mapping[str, KnownValues]
) -> list[Feature]:
    """Return the features that the columns show; ``kept`` are the values that the pipeline keeps, by column."""
    features = []
    for name in inspection.names:
        values = kept[name].values if name in kept else ()
        feature = infer_feature(name, texts[name], frame[name], name in inspection.text_columns, values)
        features.append(with_missing_words_of(feature, texts[name], frame[name]) if name in kept else feature)
    return with_distinct_titles(features)
