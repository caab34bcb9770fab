"""Add a model: a fitted pipeline and its training data become a version that predicts as the pipeline does."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import Card, InputForm, LabelRule, ModelKind, Proof
from model.catalog import ARTIFACT_FILE, Catalog
from model.errors import BrokenModel, RefusedModel, ScoringFailed, UnknownModel
from model.monitoring.training_summary import sample_rows
from model.onboarding.codes import wide_columns
from model.onboarding.describe import describe, evaluate_model, sample_places
from model.onboarding.findings import Findings, gather_findings, read_records, written_features
from model.onboarding.load_pipeline import LoadedPipeline, load_pipeline
from model.onboarding.pipeline_inspection import inspect_pipeline
from model.onboarding.proof import ExpectedPredictions, Progress, explain_differences, prove
from model.onboarding.reference import decide, depends_on_others, expected_scores
from model.onboarding.schema_file import SchemaFile
from model.onboarding.training_data import read_training_data
from model.schema import FeatureKind
from model.scorer import Scorer


@dataclass(frozen=True, slots=True)
class AddModelRequest:
    """What to add: the pipeline's file, a name, the training data, and what else is known."""

    file: Path
    name: str
    data: Path
    targets: Sequence[str] = ()
    test: Path | None = None
    schema: Path | None = None
    trust: Sequence[str] = ()
    trust_version: bool = False
    dtypes: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    module: Path | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class AddModelResult:
    """A model that was added, notes about it, and where its schema can be edited.

    ``replaced`` is the version that was the current one before: None for a new model, the card's own version where the
    same was added again.
    """

    card: Card
    replaced: str | None
    notes: list[str]
    schema: Path


def add_model(request: AddModelRequest, catalog: Catalog, progress: Progress) -> AddModelResult:
    """Inspect, describe, prove and publish a pipeline as the current version of a model.

    Raise RefusedModel where it cannot become one, or where the product would predict otherwise than the pipeline;
    nothing is left behind then.
    """
    catalog.check_name(request.name)
    replaced = _current_version(catalog, request.name)
    progress("reading the pipeline and its training data")
    loaded = load_pipeline(
        request.file, request.trust, module=request.module, key=request.key, trust_version=request.trust_version
    )
    dtypes, classes = {**loaded.dtypes, **request.dtypes}, request.classes or loaded.classes or ()
    schema = SchemaFile.load(request.schema) if request.schema else None
    findings, rejected = _inspect(request, loaded, dtypes, classes, schema, progress)
    card = describe(loaded, findings, request.name, request.data, request.targets, schema, progress)
    if schema is None:  # otherwise the records were read by the written schema
        findings = replace(findings, features=card.features, read=read_records(findings.texts, card.features))
    test = None
    if request.test:
        records = read_training_data(request.test, dtypes)
        test_findings = gather_findings(
            loaded.pipeline, records, request.targets, loaded.features, classes, card.features
        )
        test = request.test, test_findings
    card, notes = evaluate_model(Scorer(card, loaded.pipeline), findings, test, loaded.format, progress)
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / ARTIFACT_FILE
        artifact.write_bytes(loaded.content)
        text = schema_of(card).dump()
        # The proof loads the version from a folder, as workers do. It gets one of its own, so that the service
        # never sees a version that was not proved.
        staged = Catalog(Path(folder) / "models", card.name)
        staged.publish(card, artifact, text, loaded.module)
        expected = expected_predictions(findings, card)
        declared = [feature.name for feature in schema.features] if schema else list(dtypes)
        scorer = Scorer(card, loaded.pipeline)
        check_answers(staged, card, findings, expected, scorer, request.data, progress, declared)
        # The version names the artifact and the schema, not this sample: it stays the one that was proved.
        card = _with_sample(card, findings, expected, rejected)
        catalog.publish(card, artifact, text, loaded.module)
    all_notes = [*loaded.notes, *notes, *_failure_notes(findings), *_user_notes(card, findings, schema)]
    return AddModelResult(card, replaced, all_notes, catalog.schema_path(card))


def expected_predictions(findings: Findings, card: Card) -> ExpectedPredictions:
    """Return what the product has to predict for each record: as the pipeline, or by the schema's threshold."""
    reference = findings.reference
    predicted, scores = reference.predicted, expected_scores(reference, card)
    if card.labels_by is LabelRule.THRESHOLD and card.threshold is not None:
        positive = card.classes.index(str(card.positive_class))
        # The schema's owner chose other labels than those of ``predict``, so that these are no longer expected.
        predicted = np.where(scores[:, 0] >= card.threshold, positive, 1 - positive)
    return ExpectedPredictions(reference.answered, _with_class_names(predicted, card), scores)


def check_answers(
    staged: Catalog,
    card: Card,
    findings: Findings,
    expected: ExpectedPredictions,
    scorer: Scorer,
    data: Path,
    progress: Progress,
    declared: Collection[str] = (),
) -> None:
    """Score every record with a version as workers serve it; raise RefusedModel where a prediction differs.

    ``declared`` are the columns about which the user has said something.
    """
    with tempfile.TemporaryDirectory() as folder:
        different, differences = prove(staged.directory, card, Path(folder), findings.texts, expected, progress)
    if different:
        columns = columns_read_otherwise(scorer, findings)
        # A difference has its row's number in the table, of which the findings lack the rows that the schema rejects.
        place = findings.texts.index.get_loc(differences[0].row - 1)
        in_batches = not columns and depends_on_others(findings.inspection, findings.frame, findings.reference, place)
        raise RefusedModel(
            explain_differences(different, len(findings.texts), differences, columns, declared, data, in_batches)
        )


def columns_read_otherwise(scorer: Scorer, findings: Findings) -> list[str]:
    """Return the columns that the pipeline gets in another form than in the user's frame."""
    fitted_frame = findings.answered_frame
    try:
        served_frame = scorer.pipeline_input(findings.answered_values)
    except ScoringFailed:
        return []
    if scorer.card.takes is not InputForm.FRAME:
        return []
    # Dtypes count: an encoder that was fitted on texts does not know the same values as numbers.
    return [name for name in fitted_frame.columns if not _same_column(fitted_frame[name], served_frame[name])]


def schema_of(card: Card) -> SchemaFile:
    """Return the part of a card that the model's owner may edit."""
    return SchemaFile(
        title=card.title,
        description=card.description,
        target=card.target,
        positive_class=card.positive_class,
        threshold=card.threshold,
        features=card.features,
    )


def _current_version(catalog: Catalog, name: str) -> str | None:
    try:
        return catalog.current_version(name)
    except (UnknownModel, BrokenModel):
        return None


def _inspect(
    request: AddModelRequest, loaded: LoadedPipeline, dtypes: Mapping[str, str], classes: Sequence[str],
    schema: SchemaFile | None, progress: Progress,
) -> tuple[Findings, int]:  # fmt: skip
    """Return the findings, and how many rows they leave out since the written schema rejects them."""
    data = read_training_data(request.data, dtypes)
    features = None
    if schema is not None:
        inspection = inspect_pipeline(loaded.pipeline, data, request.targets, loaded.features)
        features = written_features(schema.features, inspection.names)
    progress(f"asking the pipeline about {len(data):,} rows")
    findings = gather_findings(loaded.pipeline, data, request.targets, loaded.features, classes, features)
    if schema is None:
        return findings, 0
    # A rejected row never reaches the pipeline, so that there is no prediction to compare.
    return findings.accepted(), int((~findings.read.faultless).sum())


def _with_sample(card: Card, findings: Findings, expected: ExpectedPredictions, rejected: int) -> Card:
    """Return the card with a sample of the records, the pipeline's answers to these, and how many were compared."""
    places = sample_places(findings)
    answers = [(*expected.predicted[place].tolist(), *expected.scores[place].tolist()) for place in places]
    proof = Proof(
        rows=len(expected.answered), rejected=rejected, answers=tuple(answers), tolerances=expected.tolerances(card)
    )
    sample = sample_rows(findings.answered_values.iloc[places], card.features, len(places))
    return card.model_copy(update={"proof": proof, "sample": sample})


def _with_class_names(predicted: NDArray[Any], card: Card) -> NDArray[Any]:
    """Return predictions, shape (n, targets), with classes by name and numbers as they are."""
    columns = predicted[:, np.newaxis] if predicted.ndim == 1 else predicted
    if card.kind.predicts_classes:
        columns = np.array(card.classes)[columns]
    if card.kind is ModelKind.MULTIOUTPUT_CLASSIFIER:
        columns = np.column_stack([np.array(classes)[columns[:, at]] for at, classes in enumerate(card.target_classes)])
    return columns


def _same_column(one: pd.Series, other: pd.Series) -> bool:
    try:
        pd.testing.assert_series_equal(one, other, check_names=False, check_categorical=True)
    except AssertionError:
        return False
    return True


def _user_notes(card: Card, findings: Findings, schema: SchemaFile | None) -> list[str]:
    """Return notes on labels by a threshold of the schema's own, and on numbers written in another way."""
    notes = []
    decision = (
        decide(findings.inspection, findings.reference, card.classes.index(card.positive_class))
        if card.positive_class
        else None
    )
    if schema and decision and card.threshold != decision.threshold:
        notes.append(
            f"its labels are decided by the schema's threshold {card.threshold:g}, not by the pipeline's predict"
        )
    for feature in card.features if schema is None else ():
        if feature.missing_words and feature.kind is not FeatureKind.TEXT:
            absent = findings.texts[feature.name][findings.frame[feature.name].isna().to_numpy()]
            words = ", ".join(map(repr, sorted(set(absent) - {""})))
            notes.append(f"{words} in {feature.name!r} mean missing: the pipeline does not know them as values")
    for name in wide_columns(findings.frame):
        notes.append(f"{name!r} holds whole numbers of over 16 digits, which are rounded; texts (--dtypes) are exact")
    if findings.inspection.takes_all_columns:
        count = len(card.features)
        notes.append(f"the pipeline does not say which columns it takes; it gets all {count} beside the target")
    if findings.decimal_commas:
        notes.append("its data has decimal commas; files to be scored need decimal points")
    return notes


def _failure_notes(findings: Findings) -> list[str]:
    failed = int((~findings.reference.answered).sum())
    if not failed:
        return []
    return [f"the pipeline itself fails on {failed:,} of {len(findings.frame):,} rows ({findings.reference.refusal})"]
