"""Check that a version of a model predicts here what its pipeline predicts: ``python -m worker.check``.

Every record is scored both as part of a CSV chunk and as a single prediction. ``model add`` runs this in a process of
its own before a model is added, ``model check`` at any later time.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from jobs.csv.reader import Cutter
from jobs.messages import InputChunk
from model.answers import format_answer, same_answers
from model.catalog import Catalog
from model.errors import ModelError, ScoringFailed
from model.onboarding.proof import ANSWERS_FILE, RECORDS_FILE, Difference, ExpectedPredictions
from model.schema import Feature, FeatureKind
from model.scorer import Scorer
from worker.sample import check_sample
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk
from worker.scoring.single import prediction_documents

_CHUNK_BYTES = 1024 * 1024
_BATCH_RECORDS = 500
_SINGLE_RECORDS = 20
_MAX_DIFFERENCES = 5
_DELIMITER = ","

Answer = list[str | float] | str
"""What Scoreline answers for a record: predictions, then scores; or the reason why there are none."""


@dataclass(slots=True)
class Comparison:
    """The pipeline's answer for each record, and the records for which Scoreline's differs; see ``same_answers``."""

    expected: ExpectedPredictions
    tolerances: tuple[float, ...]
    different: set[int] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)
    _indexes: Any = field(init=False)

    def __post_init__(self) -> None:
        # For each record, its place among those that the pipeline answers, the only ones with predictions.
        self._indexes = np.cumsum(self.expected.answered) - 1

    def add(self, way: str, row: int, actual: Answer) -> None:
        """Compare an answer of Scoreline with the pipeline's; ``row`` counts from 0."""
        expected = self._expected(row)
        if _agree(expected, actual, self.tolerances):
            return
        self.different.add(row)
        if len(self.differences) < _MAX_DIFFERENCES:
            self.differences.append(Difference(way, row + 1, _describe(expected), _describe(actual)))

    def _expected(self, row: int) -> Answer:
        if not self.expected.answered[row]:
            return "nothing: it fails on this record"
        place = self._indexes[row]
        return [*self.expected.predicted[place].tolist(), *self.expected.scores[place].tolist()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; the last line of output holds the number of differences. Exit with 1 if it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m worker.check", description=__doc__)
    parser.add_argument("directory", type=Path, help="directory of the models")
    parser.add_argument("name", help="name of the model")
    parser.add_argument("version", help="version of the model")
    parser.add_argument("folder", type=Path, help="folder with the records and the pipeline's answers to them")
    options = parser.parse_args(arguments)
    try:
        scorer = Scorer.load(Catalog(options.directory, options.name), options.name, options.version)
        check_sample(scorer)
    except ModelError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 1
    expected = ExpectedPredictions.load(options.folder / ANSWERS_FILE)
    comparison = Comparison(expected, expected.tolerances(scorer.card))
    content = (options.folder / RECORDS_FILE).read_bytes()
    for way, answers in (("a CSV file", by_chunks(scorer, content)), ("a record", by_records(scorer, content))):
        for row, actual in enumerate(answers):
            comparison.add(way, row, actual)
            if row % 1000 == 999:
                _print({"way": way, "done": row + 1})
    differences = [asdict(difference) for difference in comparison.differences]
    _print({"different": len(comparison.different), "differences": differences})
    return 0


def by_chunks(scorer: Scorer, content: bytes) -> Iterator[Answer]:
    """Yield the answers for the records of an uploaded file."""
    header, _, body = content.partition(b"\n")
    while header.count(b'"') % 2:  # a column name with a line break
        more, _, body = body.partition(b"\n")
        header += b"\n" + more
    card = scorer.card
    names = next(csv.reader(io.StringIO(header.decode(), newline="")))
    added = len(card.result_columns)
    layout = Layout(_DELIMITER, len(names), card.record_schema.match_columns(names).columns, added)
    cutter = Cutter(_DELIMITER, len(names), _CHUNK_BYTES)
    for chunk in (*cutter.feed(body), *cutter.finish()):
        # By bisection, so that a record on which the pipeline fails does not fail all others of its chunk.
        scored = score_chunk(InputChunk(chunk.first_row, chunk.rows, chunk.data), layout, [scorer], None, bisect=True)
        rows = csv.reader(io.StringIO(scored.output.decode(), newline=""))
        for row in rows:
            yield _read_fields(row[len(names) : len(names) + added], scorer)


def by_records(scorer: Scorer, content: bytes) -> Iterator[Answer]:
    """Yield the answers for single predictions: the first records one by one, the others in batches."""
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    features = scorer.card.features
    # One iterator for both loops: the second goes on where the first has stopped.
    records = ({feature.name: _json_value(feature, row[feature.name]) for feature in features} for row in rows)
    for record in islice(records, _SINGLE_RECORDS):
        yield from _answers_to([record], scorer)
    while batch := list(islice(records, _BATCH_RECORDS)):
        yield from _answers_to(batch, scorer)


def _json_value(feature: Feature, text: str) -> Any:
    """Return a value as programs send it: numbers and booleans as such, missing ones as null."""
    value = feature.parse(text)
    if value is None or feature.kind in (FeatureKind.NUMBER, FeatureKind.BOOLEAN):
        return text if not isinstance(value, float | bool | None) else value
    return text


def _answers_to(records: Sequence[dict[str, Any]], scorer: Scorer) -> Iterator[Answer]:
    validated = [scorer.schema.validate_record(record) for record in records]
    values = [values for values, faults, _ in validated if not faults]
    answers = iter(_documents(values, scorer))
    for _, faults, _ in validated:
        yield "; ".join(fault.detail for fault in faults) if faults else _read_document(next(answers), scorer)


def _documents(values: Sequence[dict[str, Any]], scorer: Scorer) -> list[dict[str, Any]]:
    try:
        return prediction_documents(scorer.predict_records(values), scorer.card, None) if values else []
    except ScoringFailed as error:
        if len(values) == 1:
            return [{"error": {"detail": str(error)}}]
        return [document for record in values for document in _documents([record], scorer)]


def _read_document(document: dict[str, Any], scorer: Scorer) -> Answer:
    if "error" in document:
        return str(document["error"]["detail"])
    card = scorer.card
    predicted = document["prediction"]
    predictions = [predicted[target] for target in card.targets] if card.kind.has_several_targets else [predicted]
    several = document.get("probabilities") or document.get("decisions")
    scores = list(several.values()) if several else [document[name] for name in card.score_columns]
    return [*predictions, *scores]


def _read_fields(fields: Sequence[str], scorer: Scorer) -> Answer:
    *answer, error = fields
    if error:
        return error
    several = len(scorer.card.prediction_columns)
    predicted: list[str | float] = list(answer[:several])
    if not scorer.card.kind.predicts_classes and not scorer.card.target_classes:
        predicted = [float(text) for text in answer[:several]]
    return [*predicted, *map(float, answer[several:])]


def _agree(expected: Answer, actual: Answer, tolerances: Sequence[float]) -> bool:
    if isinstance(expected, str) or isinstance(actual, str):
        # That both fail is enough; they word it differently.
        return isinstance(expected, str) and isinstance(actual, str)
    return same_answers(expected, actual, tolerances)


def _describe(answer: Answer) -> str:
    if isinstance(answer, str):
        return answer
    return format_answer(answer)


def _print(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
