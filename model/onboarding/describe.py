"""Write the card of a pipeline: its input features and output, how its labels are decided, and how well it performs."""

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
from model.monitoring.training_summary import library_versions, summarise
from model.onboarding.findings import Findings
from model.onboarding.formats import Format
from model.onboarding.hold_out import hold_out
from model.onboarding.load_pipeline import LoadedPipeline
from model.onboarding.proof import Progress
from model.onboarding.reference import decide
from model.onboarding.schema_file import SchemaFile
from model.onboarding.tolerance import with_tolerance
from model.onboarding.truth import check_targets
from model.schema import Feature, FeatureKind
from model.scorer import Predictions, Scorer

SAMPLE_ROWS, MAX_SAMPLE_ROWS = 20, 100
# A booster's own format holds its trees, not the parameters with which they were grown.
_REFITTABLE = (Format.SKOPS, Format.PICKLE)
_EDGES = 21
# Each feature takes as many predictions as there are records; with more features, that takes minutes.
_MAX_FEATURES_RANKED = 100


def describe(
    loaded: LoadedPipeline,
    findings: Findings,
    name: str,
    data: Path,
    targets: Sequence[str],
    schema: SchemaFile | None,
    progress: Progress,
) -> Card:
    """Return the card of a pipeline, without its performance.

    Raise RefusedModel where a written schema asks for what the pipeline does not have.
    """
    trial = _trial_card(findings)
    features = findings.features
    if schema is None:
        progress(f"trying missing and unseen values, feature by feature ({len(features):,})")
        features = with_tolerance(Scorer(trial, loaded.pipeline), findings.answered_values)
    positive = _positive_class(trial, schema)
    # Without a positive class, ``decide`` does not use the index.
    decision = decide(findings.inspection, findings.reference, trial.classes.index(positive) if positive else 0)
    labels_by, threshold = decision.labels_by, decision.threshold
    if schema and schema.threshold is not None and schema.threshold != threshold:
        if trial.kind is not ModelKind.BINARY_CLASSIFIER or trial.scores is not Scores.PROBABILITY:
            raise RefusedModel("the schema names a threshold, and the model decides without one; leave it out")
        labels_by, threshold = LabelRule.THRESHOLD, schema.threshold
    texts = schema or _default_texts(trial, name, data, targets, positive)
    sha256 = sha256_of(loaded.content)
    module_sha256 = sha256_of(loaded.module) if loaded.module else None
    # What decides predictions and how records are read. The same model added again, or with another title, is the same
    # version.
    other_parts = (
        features,
        positive,
        threshold,
        trial.classes,
        check_targets(findings.inspection, targets),
        module_sha256,
    )
    values = findings.answered_values
    return trial.model_copy(
        update={
            "name": name,
            "version": version_of(sha256, *other_parts),
            "title": texts.title,
            "description": texts.description,
            "target": texts.target,
            "positive_class": positive,
            "targets": check_targets(findings.inspection, targets),
            "labels_by": labels_by,
            "threshold": threshold,
            "features": features,
            "written_schema": schema is not None,
            "trained_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "training_rows": len(values),
            "summary": summarise(values, features),
            "additive": is_additive(loaded.pipeline, features),
            "prediction_edges": _prediction_edges(findings),
            "trusted": loaded.trusted,
            "module_sha256": module_sha256,
            "libraries": library_versions(),
            "artifact_sha256": sha256,
        }
    )


def sample_places(findings: Findings) -> NDArray[np.int64]:
    """Return the indices of the answered records that the card's sample holds.

    They are spread evenly, followed by records of each predicted class and each category that these lack: what only
    a rare value shows is then found, too, when an artifact was exchanged.
    """
    values, predicted = findings.answered_values, findings.reference.predicted
    places = np.linspace(0, len(values) - 1, min(SAMPLE_ROWS, len(values))).astype(np.int64).tolist()
    by_class = list(predicted.reshape(len(predicted), -1).T) if predicted.dtype.kind in "iu" else []
    kinds = (FeatureKind.CATEGORY, FeatureKind.BOOLEAN)
    for column in [*by_class, *(values[feature.name] for feature in findings.features if feature.kind in kinds)]:
        # A missing value is a value to cover, too.
        codes, distinct = pd.factorize(np.asarray(column, dtype=object), use_na_sentinel=False)
        firsts = np.unique(codes, return_index=True)[1]
        covered = set(codes[places].tolist())
        places += [int(firsts[code]) for code in range(len(distinct)) if code not in covered]
    return np.array(places[:MAX_SAMPLE_ROWS], np.int64)


def evaluate_model(
    scorer: Scorer, findings: Findings, test: tuple[Path, Findings] | None, file_format: str, progress: Progress
) -> tuple[Card, list[str]]:
    """Return the card with the model's performance, explanation, and effects or importances; and notes for the user.

    ``test`` is a file of records that the pipeline has never seen, with the findings about it. Without one, the
    pipeline is refitted without some of its training data, unless its ``file_format`` does not hold how it was fitted.
    """
    notes: list[str] = []
    progress("checking whether its predictions can be explained")
    card = scorer.card.model_copy(update=explanation_fields(scorer, findings.answered_values))
    if card.explanation_obstacle:
        notes.append(f"its predictions are not explained: {card.explanation_obstacle}")
    scorer = Scorer(card, scorer.pipeline)
    has_truth = findings.truth is not None and card.kind not in (ModelKind.OUTLIER_DETECTOR, ModelKind.CLUSTERER)
    if has_truth:
        progress("evaluating it on held-out records")
        outcome: _Outcome | str = (
            "not evaluated: its file does not say how it was fitted; give records for that with --test"
        )
        if test:
            outcome = _test_outcome(scorer, test)
        elif file_format in _REFITTABLE:
            outcome = _hold_out_outcome(scorer, findings)
        if isinstance(outcome, str):
            notes.append(outcome)
        else:
            truth, predictions, texts = outcome
            metrics, evaluation = evaluate(card, truth, predictions)
            metrics = metrics.model_copy(update={"measured_on": texts})
            card = card.model_copy(update={"metrics": metrics, "evaluation": evaluation})
    return card.model_copy(
        update=_effects_or_importance(Scorer(card, scorer.pipeline), findings, has_truth, progress)
    ), notes


def _trial_card(findings: Findings) -> Card:
    """Return a card with what a scorer has to know to get a pipeline's own predictions."""
    inspection = findings.inspection
    classes = inspection.class_names or inspection.classes
    renamed = classes != inspection.classes
    return Card(
        name="trial", version="0", kind=inspection.kind, title="", description="", target="",
        classes=classes,
        pipeline_classes=inspection.classes if renamed else (),
        positive_class=classes[1] if inspection.kind is ModelKind.BINARY_CLASSIFIER else None,
        targets=tuple(map(str, range(inspection.targets))) if inspection.kind.has_several_targets else (),
        target_classes=inspection.target_classes, scores=findings.reference.scores, labels_by=LabelRule.PREDICT,
        threshold=None, takes=inspection.form, features=findings.features, trained_at="", training_rows=0, libraries={},
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


_PURPOSES = {
    ModelKind.OUTLIER_DETECTOR: "Detects outliers",
    ModelKind.CLUSTERER: "Assigns records to clusters",
}


def _default_texts(trial: Card, name: str, data: Path, targets: Sequence[str], positive: str | None) -> SchemaFile:
    """Return the model's title, description and target until its owner writes better ones."""
    target = ", ".join(targets) or "prediction"
    purpose = f"Predicts {target}" if targets else _PURPOSES.get(trial.kind, "Predicts")
    return SchemaFile(
        title=name,
        description=f"{purpose}, trained on {data.name}.",
        target=f"{target} is {positive}" if positive else target,
        features=(),
    )


def _prediction_edges(findings: Findings) -> tuple[float, ...]:
    """Return the bins in which a regressor's predictions are counted, over the range of those on the training data."""
    if findings.inspection.kind is not ModelKind.REGRESSOR:
        return ()
    predicted = findings.reference.predicted
    low, high = float(predicted.min()), float(predicted.max())
    # A model that always predicts the same number still needs bins with a width.
    if low == high:
        low, high = low - 0.5, high + 0.5
    return tuple(float(f"{edge:.6g}") for edge in np.linspace(low, high, _EDGES))


_Outcome = tuple[NDArray[Any], Predictions, str]


def _hold_out_outcome(scorer: Scorer, findings: Findings) -> _Outcome | str:
    assert findings.truth is not None
    frame, values = findings.frame[findings.usable], findings.read.values[findings.usable]
    outcome = hold_out(scorer, findings.inspection.form, frame, values, findings.truth.values[findings.usable])
    texts = "held-out records, by the same pipeline refitted on the other 80% of the data"
    return outcome if isinstance(outcome, str) else (*outcome, texts)


def _test_outcome(scorer: Scorer, test: tuple[Path, Findings]) -> _Outcome:
    path, findings = test
    if findings.truth is None or not findings.usable.any():
        raise RefusedModel(f"{path} holds no record that the pipeline answers and whose target is known")
    values: pd.DataFrame = findings.read.values[findings.usable].reset_index(drop=True)
    return findings.truth.values[findings.usable], scorer.predict(values), f"records of {path.name}"


def _effects_or_importance(scorer: Scorer, findings: Findings, has_truth: bool, progress: Progress) -> dict[str, Any]:
    """Return the effects of features' values or, where these do not add up, the importance of each feature."""
    features: Sequence[Feature] = scorer.card.features
    if scorer.card.additive:
        return {"effects": effects_of(scorer.card, scorer.pipeline)}
    if not has_truth or scorer.card.kind.has_several_targets or len(features) > _MAX_FEATURES_RANKED:
        return {}
    assert findings.truth is not None
    progress(f"ranking {len(features)} features by permutation importance")
    values: pd.DataFrame = findings.read.values[findings.usable].reset_index(drop=True)
    return {"importance": importance_of(scorer, values, findings.truth.values[findings.usable])}
