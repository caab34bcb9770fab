"""The card of a pipeline that is brought: what it takes and predicts, how it decides, and how well it does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import Card, LabelRule, ModelKind, Scores
from model.catalog import version_of
from model.errors import RefusedModel
from model.evaluate import evaluate
from model.explanation.additive import is_additive
from model.explanation.check import explanation_fields
from model.explanation.effects import effects_of, importance_of
from model.files import sha256_of
from model.monitoring.training_summary import library_versions, sample_rows, summarise
from model.onboarding.findings import Findings
from model.onboarding.formats import Format
from model.onboarding.hold_out import held_out
from model.onboarding.load_pipeline import LoadedPipeline
from model.onboarding.proof import Progress
from model.onboarding.reference import decide
from model.onboarding.schema_file import SchemaFile
from model.onboarding.tolerance import with_tolerance
from model.onboarding.truth import check_targets
from model.schema import Feature
from model.scorer import Predictions, Scorer

SAMPLE_ROWS = 20
# A booster's own format holds its trees and not how they were grown.
_REFITTABLE = (Format.SKOPS, Format.PICKLE)
_EDGES = 21
# Of each feature as many predictions are asked as there are records; for more of them, that takes minutes.
_MAX_FEATURES_RANKED = 100


def describe(
    loaded: LoadedPipeline,
    found: Findings,
    name: str,
    data: Path,
    targets: Sequence[str],
    schema: SchemaFile | None,
    progress: Progress,
) -> Card:
    """Return the card of a pipeline, without how well it does.

    Raises RefusedModel where a written schema asks for what the pipeline does not have.
    """
    trial = _trial_card(found)
    features = found.features
    if schema is None:
        progress(f"asking what the pipeline takes beyond its training data, feature by feature ({len(features):,})")
        features = with_tolerance(Scorer(trial, loaded.pipeline), found.answered_values)
    positive = _positive_class(trial, schema)
    decision = decide(found.inspection, found.reference, trial.classes.index(positive) if positive else 0)
    labels_by, threshold = decision.labels_by, decision.threshold
    if schema and schema.threshold is not None and schema.threshold != threshold:
        if trial.kind is not ModelKind.BINARY_CLASSIFIER or trial.scores is not Scores.PROBABILITY:
            raise RefusedModel("the schema names a threshold, and the model decides without one; leave it out")
        labels_by, threshold = LabelRule.THRESHOLD, schema.threshold
    words = schema or _words(trial, name, data, targets, positive)
    sha256 = sha256_of(loaded.content)
    module_sha256 = sha256_of(loaded.module) if loaded.module else None
    more = (features, positive, threshold, trial.classes, check_targets(found.inspection, targets), module_sha256)
    values = found.answered_values
    return trial.model_copy(
        update={
            "name": name,
            "version": version_of(sha256, *more),
            "title": words.title,
            "description": words.description,
            "target": words.target,
            "positive_class": positive,
            "targets": check_targets(found.inspection, targets),
            "labels_by": labels_by,
            "threshold": threshold,
            "features": features,
            "written_schema": schema is not None,
            "trained_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "training_rows": len(values),
            "summary": summarise(values, features),
            "sample": sample_rows(values, features, min(SAMPLE_ROWS, len(values))),
            "additive": is_additive(loaded.pipeline, features),
            "prediction_edges": _edges(found),
            "trusted": loaded.trusted,
            "module_sha256": module_sha256,
            "libraries": library_versions(),
            "artifact_sha256": sha256,
        }
    )


def sample_places(rows: int) -> NDArray[np.int64]:
    """Return which of the answered records the card's sample holds."""
    return np.linspace(0, rows - 1, min(SAMPLE_ROWS, rows)).astype(np.int64)


def measured(
    scorer: Scorer, found: Findings, test: tuple[Path, Findings] | None, file_format: str, progress: Progress
) -> tuple[Card, list[str]]:
    """Return the card with how well the model does, how it is explained, and what moves its answers; and notes.

    `test` is a file of records that the pipeline has never seen, and what it says of these; without, a twin of it is
    fitted without some of the training data, unless it comes in a `file_format` that does not hold how it was fitted.
    """
    notes: list[str] = []
    progress("looking for a way to explain its predictions")
    card = scorer.card.model_copy(update=explanation_fields(scorer, found.answered_values))
    if card.explanation_obstacle:
        notes.append(f"its predictions are not explained: {card.explanation_obstacle}")
    scorer = Scorer(card, scorer.pipeline)
    has_truth = found.truth is not None and card.kind not in (ModelKind.OUTLIER_DETECTOR, ModelKind.CLUSTERER)
    if has_truth:
        progress("measuring it on held-out records")
        outcome: _Outcome | str = (
            "not evaluated: its file does not say how it was fitted; give other records with --test"
        )
        if test:
            outcome = _test_outcome(scorer, test)
        elif file_format in _REFITTABLE:
            outcome = _twin_outcome(scorer, found)
        if isinstance(outcome, str):
            notes.append(outcome)
        else:
            truth, predictions, words = outcome
            metrics, evaluation = evaluate(card, truth, predictions)
            metrics = metrics.model_copy(update={"measured_on": words})
            card = card.model_copy(update={"metrics": metrics, "evaluation": evaluation})
    return card.model_copy(update=_what_matters(Scorer(card, scorer.pipeline), found, has_truth, progress)), notes


def _trial_card(found: Findings) -> Card:
    """What a scorer has to know to ask a pipeline for its own predictions."""
    inspection = found.inspection
    classes = inspection.class_names or inspection.classes
    renamed = classes != inspection.classes
    return Card(
        name="trial", version="0", kind=inspection.kind, title="", description="", target="",
        classes=classes,
        pipeline_classes=inspection.classes if renamed else (),
        positive_class=classes[1] if inspection.kind is ModelKind.BINARY_CLASSIFIER else None,
        targets=tuple(map(str, range(inspection.targets))) if inspection.kind.has_several_targets else (),
        target_classes=inspection.target_classes, scores=found.reference.scores, labels_by=LabelRule.PREDICT,
        threshold=None, takes=inspection.form, features=found.features, trained_at="", training_rows=0, libraries={},
        artifact_sha256="",
    )  # fmt: skip


def _positive_class(trial: Card, schema: SchemaFile | None) -> str | None:
    is_binary = trial.kind is ModelKind.BINARY_CLASSIFIER
    if schema is None or schema.positive_class is None:
        return trial.classes[-1] if is_binary else None
    if not is_binary or schema.positive_class not in trial.classes:
        there_are = ", ".join(map(repr, trial.classes)) or "none"
        raise RefusedModel(f"positive_class {schema.positive_class!r} of the schema is not one of: {there_are}")
    return schema.positive_class


_DOES_WITHOUT_TARGET = {
    ModelKind.OUTLIER_DETECTOR: "Tells outliers from normal records",
    ModelKind.CLUSTERER: "Sorts records into clusters",
}


def _words(trial: Card, name: str, data: Path, targets: Sequence[str], positive: str | None) -> SchemaFile:
    """What the model is called until its owner finds better words."""
    target = ", ".join(targets) or "prediction"
    does = f"Predicts {target}" if targets else _DOES_WITHOUT_TARGET.get(trial.kind, "Predicts")
    return SchemaFile(
        title=name,
        description=f"{does}, learnt from {data.name}.",
        target=f"{target} is {positive}" if positive else target,
        features=(),
    )


def _edges(found: Findings) -> tuple[float, ...]:
    """The bins in which a regressor's predictions are counted: from the least to the largest of the training data."""
    if found.inspection.kind is not ModelKind.REGRESSOR:
        return ()
    predicted = found.reference.predicted
    low, high = float(predicted.min()), float(predicted.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return tuple(float(f"{edge:.6g}") for edge in np.linspace(low, high, _EDGES))


_Outcome = tuple[NDArray[Any], Predictions, str]


def _twin_outcome(scorer: Scorer, found: Findings) -> _Outcome | str:
    assert found.truth is not None
    frame, values = found.frame[found.usable], found.read.values[found.usable]
    outcome = held_out(scorer, found.inspection.form, frame, values, found.truth.values[found.usable])
    words = "held-out records, by a twin of it that was fitted on the other four fifths of the data"
    return outcome if isinstance(outcome, str) else (*outcome, words)


def _test_outcome(scorer: Scorer, test: tuple[Path, Findings]) -> _Outcome:
    path, found = test
    if found.truth is None or not found.usable.any():
        raise RefusedModel(f"{path} holds no record that the pipeline answers and whose target is known")
    values: pd.DataFrame = found.read.values[found.usable].reset_index(drop=True)
    return found.truth.values[found.usable], scorer.predict(values), f"records of {path.name}"


def _what_matters(scorer: Scorer, found: Findings, has_truth: bool, progress: Progress) -> dict[str, Any]:
    """What moves the model's answers: effects of values, or, where these do not add up, the worth of each feature."""
    features: Sequence[Feature] = scorer.card.features
    if scorer.card.additive:
        return {"effects": effects_of(scorer.card, scorer.pipeline)}
    if not has_truth or scorer.card.kind.has_several_targets or len(features) > _MAX_FEATURES_RANKED:
        return {}
    assert found.truth is not None
    progress(f"ranking {len(features)} features by how much worse it does without each")
    values: pd.DataFrame = found.read.values[found.usable].reset_index(drop=True)
    return {"importance": importance_of(scorer, values, found.truth.values[found.usable])}
