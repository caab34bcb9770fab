"""Adding a model: a fitted pipeline and its training data become a version that answers as the pipeline does."""

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
from model.onboarding.describe import describe, measured, sample_places
from model.onboarding.findings import Findings, find_out, read_records, written_features
from model.onboarding.load_pipeline import LoadedPipeline, load_pipeline
from model.onboarding.pipeline_inspection import inspect_pipeline
from model.onboarding.proof import ExpectedAnswers, Progress, explain_differences, prove
from model.onboarding.reference import decide, depends_on_others, expected_scores
from model.onboarding.schema_file import SchemaFile
from model.onboarding.training_data import read_training_data
from model.scorer import Scorer


@dataclass(frozen=True, slots=True)
class AddModelRequest:
    """What is to be added: the pipeline's file, a name, the training data, and what else is known."""

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
    """Check, describe, prove and publish a pipeline as the current version of a model.

    Raises RefusedModel where it cannot become one, or where the product would answer otherwise than the pipeline does;
    nothing is then left behind.
    """
    catalog.check_name(request.name)
    replaced = _current_version(catalog, request.name)
    progress("reading the pipeline and its training data")
    loaded = load_pipeline(
        request.file, request.trust, module=request.module, key=request.key, trust_version=request.trust_version
    )
    dtypes, classes = {**loaded.dtypes, **request.dtypes}, request.classes or loaded.classes or ()
    schema = SchemaFile.load(request.schema) if request.schema else None
    found, rejected = _find_out(request, loaded, dtypes, classes, schema, progress)
    card = describe(loaded, found, request.name, request.data, request.targets, schema, progress)
    if schema is None:  # else it has been read by the schema already
        found = replace(found, features=card.features, read=read_records(found.texts, card.features))
    test = None
    if request.test:
        records = read_training_data(request.test, dtypes)
        own = find_out(loaded.pipeline, records, request.targets, loaded.features, classes, card.features)
        test = request.test, own
    card, notes = measured(Scorer(card, loaded.pipeline), found, test, loaded.format, progress)
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / ARTIFACT_FILE
        artifact.write_bytes(loaded.content)
        text = schema_of(card).dump()
        staged = Catalog(Path(folder) / "models", card.name)
        staged.publish(card, artifact, text, loaded.module)
        expected = expected_answers(found, card)
        said = [feature.name for feature in schema.features] if schema else list(dtypes)
        scorer = Scorer(card, loaded.pipeline)
        check_answers(staged, card, found, expected, scorer, request.data, progress, said)
        card = card.model_copy(update={"proof": _proof(expected, rejected)})
        catalog.publish(card, artifact, text, loaded.module)
    told = [*loaded.notes, *notes, *_left_out(found), *_otherwise(card, found, schema)]
    return AddModelResult(card, replaced, told, catalog.schema_path(card))


def expected_answers(found: Findings, card: Card) -> ExpectedAnswers:
    """Return what the product has to say of each record: what the pipeline does, or by the threshold of the schema."""
    reference = found.reference
    predicted, scores = reference.predicted, expected_scores(reference, card)
    if card.labels_by is LabelRule.THRESHOLD and card.threshold is not None:
        positive = card.classes.index(str(card.positive_class))
        predicted = np.where(scores[:, 0] >= card.threshold, positive, 1 - positive)
    return ExpectedAnswers(reference.answered, _as_told(predicted, card), scores)


def check_answers(
    staged: Catalog,
    card: Card,
    found: Findings,
    expected: ExpectedAnswers,
    scorer: Scorer,
    data: Path,
    progress: Progress,
    said: Collection[str] = (),
) -> None:
    """Send every record through a version as workers serve it; raises RefusedModel where an answer is not expected.

    ``said`` are the columns of which the user has said something.
    """
    with tempfile.TemporaryDirectory() as folder:
        different, differences = prove(staged.directory, card, Path(folder), found.texts, expected, progress)
    if different:
        columns = columns_read_otherwise(scorer, found)
        place = found.texts.index.get_loc(differences[0].row - 1)
        in_batches = not columns and depends_on_others(found.inspection, found.frame, found.reference, place)
        raise RefusedModel(
            explain_differences(different, len(found.texts), differences, columns, said, data, in_batches)
        )


def columns_read_otherwise(scorer: Scorer, found: Findings) -> list[str]:
    """Return the columns that the pipeline gets otherwise than the user's frame has them."""
    own = found.answered_frame
    try:
        ours = scorer.pipeline_input(found.answered_values)
    except ScoringFailed:
        return []
    if scorer.card.takes is not InputForm.FRAME:
        return []
    return [name for name in own.columns if not _same_column(own[name], ours[name])]


def schema_of(card: Card) -> SchemaFile:
    """Return what the owner of a model may edit."""
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


def _find_out(
    request: AddModelRequest, loaded: LoadedPipeline, dtypes: Mapping[str, str], classes: Sequence[str],
    schema: SchemaFile | None, progress: Progress,
) -> tuple[Findings, int]:  # fmt: skip
    """What there is to know, and of how many rows there is nothing, since a written schema rejects them."""
    data = read_training_data(request.data, dtypes)
    features = None
    if schema is not None:
        inspection = inspect_pipeline(loaded.pipeline, data, request.targets, loaded.features)
        features = written_features(schema.features, inspection.names)
    progress(f"asking the pipeline about {len(data):,} rows")
    found = find_out(loaded.pipeline, data, request.targets, loaded.features, classes, features)
    if schema is None:
        return found, 0
    return found.accepted(), int((~found.read.faultless).sum())


def _proof(answers: ExpectedAnswers, rejected: int) -> Proof:
    """What the card keeps: how many records were compared, and the pipeline's answers to those of its sample."""
    places = sample_places(len(answers.predicted))
    sample = [(*answers.predicted[place].tolist(), *answers.scores[place].tolist()) for place in places]
    return Proof(rows=len(answers.answered), rejected=rejected, answers=tuple(sample))


def _as_told(predicted: NDArray[Any], card: Card) -> NDArray[Any]:
    """Predictions, shape (n, targets), as the product tells them: classes by name, numbers as they are."""
    columns = predicted[:, np.newaxis] if predicted.ndim == 1 else predicted
    if card.kind.predicts_classes:
        columns = np.array(card.classes)[columns]
    if card.kind is ModelKind.MULTIOUTPUT_CLASSIFIER:
        columns = np.column_stack([np.array(own)[columns[:, at]] for at, own in enumerate(card.target_classes)])
    return columns


def _same_column(one: pd.Series, other: pd.Series) -> bool:
    try:
        pd.testing.assert_series_equal(one, other, check_names=False, check_categorical=True)
    except AssertionError:
        return False
    return True


def _otherwise(card: Card, found: Findings, schema: SchemaFile | None) -> list[str]:
    """What its users have to know: labels by a threshold of the schema's own, numbers written otherwise."""
    notes = []
    own = (
        decide(found.inspection, found.reference, card.classes.index(card.positive_class))
        if card.positive_class
        else None
    )
    if schema and own and card.threshold != own.threshold:
        notes.append(f"its labels are decided by the schema's threshold {card.threshold:g}, not by its predict")
    if found.decimal_commas:
        notes.append("its data has decimal commas; files to be scored need decimal points")
    return notes


def _left_out(found: Findings) -> list[str]:
    lacking = int((~found.reference.answered).sum())
    if not lacking:
        return []
    return [f"the pipeline itself fails on {lacking:,} of {len(found.frame):,} rows ({found.reference.refusal})"]
