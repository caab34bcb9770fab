"""Answer requests for single predictions and for previews of files."""

import base64
import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import orjson
import structlog

from jobs.csv.dialect import Dialect
from jobs.messages import InputChunk
from jobs.store.prediction_store import WaitingPrediction
from jobs.tracing import HEADER, follow
from model.card import Card, ModelKind, Scores
from model.errors import ModelError, ScoringFailed
from model.monitoring.counts import FAULT, WARNING
from model.schema import FaultCode, Feature, Scalar, Value
from model.scorer import Predictions, Scorer
from worker.models import scorer
from worker.sandbox import MAX_KILLS, MAX_LOSSES, SUSPICIOUS_LOSSES, TimeLeft, run_isolated
from worker.scoring.explanations import predict_and_explain
from worker.scoring.parse import Layout
from worker.scoring.row_predictions import NO_ANSWER
from worker.scoring.score_chunk import score_chunk

log = structlog.stdlib.get_logger(__name__)

Answer = dict[str, Any]
BROKEN_MODEL = "broken_model"
"""Code of the error of a record whose model cannot be loaded here."""
_FAILED = {"code": FaultCode.SCORING_FAILED.value, "detail": "the model could not score this record"}
_NO_ANSWER = {**_FAILED, "detail": f"{_FAILED['detail']}: {NO_ANSWER}"}
_DECIMALS = 6
_MAX_EXAMPLES = 5


def answer_all(
    waiting: Sequence[WaitingPrediction], max_attempts: int, seconds: float
) -> list[tuple[WaitingPrediction, Answer]]:
    """Return each request with its answer. First attempts for the same model are scored together.

    A request that has crashed its process, run out of time or been lost twice is scored in processes of its own, for at
    most ``seconds``. A failure of one request does not affect the others.
    """
    answers: dict[str, Answer] = {}
    together: dict[str, list[WaitingPrediction]] = {}
    for prediction in waiting:
        request = prediction.request
        if prediction.attempt > max_attempts or prediction.lost > MAX_LOSSES:
            answers[prediction.id] = _give_up(request)
        elif prediction.attempt > 1 or prediction.lost or request.get("kind") != "predict":
            isolated = prediction.attempt > 2 or prediction.lost >= SUSPICIOUS_LOSSES
            answers[prediction.id] = _answer_alone(request, seconds if isolated else None)
        else:
            key = repr([request.get(name) for name in ("model", "version", "threshold")])
            together.setdefault(key, []).append(prediction)
    for group in together.values():
        answers |= _answer_group(group)
    return [(prediction, _with_model(answers[prediction.id], prediction.request)) for prediction in waiting]


def _with_model(answer: Answer, request: Mapping[str, Any]) -> Answer:
    if request.get("kind") == "preview":
        return answer
    several = bool(request.get("several"))
    return {**answer, "model": request.get("model"), "version": request.get("version"), "several": several}


def _answer_group(group: Sequence[WaitingPrediction]) -> dict[str, Answer]:
    try:
        items = iter(_predict([record for waiting in group for record in waiting.request["records"]], group[0].request))
    except Exception:  # noqa: BLE001 - one of the requests is at fault; each is answered alone to find out which
        return {waiting.id: _answer_alone(waiting.request) for waiting in group}
    return {waiting.id: {"items": [next(items) for _ in waiting.request["records"]]} for waiting in group}


def _give_up(request: Mapping[str, Any]) -> Answer:
    records = request.get("records")
    if not isinstance(records, Sequence):
        return {"error": _FAILED}
    errors = (record.get("error") if isinstance(record, Mapping) else None for record in records)
    return {"items": [{"error": error or _FAILED} for error in errors]}


def _answer_alone(request: Mapping[str, Any], isolated_seconds: float | None = None) -> Answer:
    follow(request.get(HEADER))
    try:
        return _ANSWERS[request["kind"]](request, isolated_seconds)
    except OSError:
        raise  # the system lacks resources, which is not the request's fault
    except Exception as error:
        # Perhaps sent by another version of the web. Without an answer, it would be sent again and again.
        log.warning("request not answered", exc_info=error)
        return _give_up(request)


def _predict_records(request: Mapping[str, Any], isolated_seconds: float | None) -> Answer:
    if isolated_seconds:
        return {"items": _predict_isolated(request["records"], request, isolated_seconds)}
    return {"items": [_predict_one(record, request) for record in request["records"]]}


def _predict_isolated(records: Sequence[Mapping[str, Any]], request: Mapping[str, Any], seconds: float) -> list[Answer]:
    """Predict records in a sandbox; those that crash or hang their process get an error."""
    with suppress(ModelError):
        scorer(request["model"], request["version"])  # loaded once here, not in each forked process
    left, kills = TimeLeft(seconds, len(records)), Counter[int]()
    answers: list[Answer] = []
    while len(answers) < len(records):
        # Each round goes on after the record at which the process of the last one ended.
        works = [partial(_predict_one_as_json, record, request) for record in records[len(answers) :]]
        result = run_isolated(works, left.share())
        answers += map(orjson.loads, result.answers)
        place = len(answers)
        if result.killed and kills[place] < MAX_KILLS - 1:
            kills[place] += 1
        elif place < len(records):
            answers.append({"error": _NO_ANSWER})
    return answers


def _predict_one_as_json(record: Mapping[str, Any], request: Mapping[str, Any]) -> bytes:
    # Without an explanation, which may be what crashes the process.
    return orjson.dumps(_predict_one(record, request, explained=False))


def _predict_one(record: Mapping[str, Any], request: Mapping[str, Any], explained: bool = True) -> Answer:
    try:
        return _predict([record], request, explained)[0]
    except ScoringFailed as error:
        log.warning("record not scored", model=request["model"], exc_info=error)
        return {"error": {**_FAILED, "detail": f"{_FAILED['detail']}: {error.reason}"}}
    except ModelError as error:
        return {"error": {"code": BROKEN_MODEL, "detail": str(error)}}


def _predict(records: Sequence[Mapping[str, Any]], request: Mapping[str, Any], explained: bool = True) -> list[Answer]:
    """Predict validated records; a record that carries an error keeps it."""
    model = scorer(request["model"], request["version"])
    values = [record["values"] for record in records if "values" in record]
    answers = iter(_documents(values, model, request["threshold"], explained) if values else ())
    return [_answer_record(record, answers) for record in records]


def _answer_record(record: Mapping[str, Any], answers: Iterator[Answer]) -> Answer:
    """Return the next answer with the warnings of its record, or the error that the record carries."""
    if "values" not in record:
        return {"error": record["error"]}
    return next(answers) | ({"warnings": record["warnings"]} if record.get("warnings") else {})


def _documents(
    values: Sequence[Mapping[str, Any]], model: Scorer, threshold: float | None, explained: bool
) -> list[Answer]:
    if not explained:
        return prediction_documents(model.predict_records(values, threshold), model.card, threshold)
    predictions, explanation = predict_and_explain(model, values, threshold)
    documents = prediction_documents(predictions, model.card, threshold)
    if explanation is None:
        return documents
    per_record = zip(explanation.baseline.tolist(), explanation.effects.tolist(), strict=True)
    return [
        document
        if math.isnan(baseline)
        else {
            **document,
            "baseline": baseline,
            "effects_in": explanation.unit.value,
            "contributions": [
                {"feature": feature.name, "value": _shown(record[feature.name], feature), "effect": effect}
                for feature, effect in zip(model.card.features, effects, strict=True)
            ],
        }
        for document, record, (baseline, effects) in zip(documents, values, per_record, strict=True)
    ]


def _shown(value: Value, feature: Feature) -> Scalar:
    return int(value) if feature.integer and isinstance(value, float) else value


def prediction_documents(predictions: Predictions, card: Card, threshold: float | None) -> list[Answer]:
    """Return predictions and scores as the API shows them, probabilities with 6 decimals."""
    own = card.threshold if card.decides_by_threshold else None
    limit = own if threshold is None else threshold
    documents: list[Answer] = [{"prediction": value, "threshold": limit} for value in _predicted(predictions, card)]
    if card.scores is Scores.NONE:
        return documents
    scores = predictions.scores
    rows = (np.round(scores, _DECIMALS) if card.scores is Scores.PROBABILITY else scores).tolist()
    if card.kind is not ModelKind.MULTICLASS_CLASSIFIER:
        return [{**doc, card.scores.value: row[0]} for doc, row in zip(documents, rows, strict=True)]
    plural = {Scores.PROBABILITY: "probabilities", Scores.DECISION: "decisions"}[card.scores]
    return [
        {**doc, plural: dict(zip(card.classes, row, strict=True))} for doc, row in zip(documents, rows, strict=True)
    ]


def _predicted(predictions: Predictions, card: Card) -> list[Any]:
    """Return the prediction of each record: a class or a number, or one per target by name."""
    rows = predictions.by_record(card)
    if not card.kind.has_several_targets:
        return [row[0] for row in rows]
    return [dict(zip(card.targets, row, strict=False)) for row in rows]


def _answer_preview(request: Mapping[str, Any], isolated_seconds: float | None) -> Answer:
    try:
        return _preview(request, isolated_seconds)
    except ScoringFailed:
        return {"error": _FAILED}
    except ModelError as error:
        return {"error": {"code": "broken_model", "detail": str(error)}}


def _preview(request: Mapping[str, Any], isolated_seconds: float | None) -> Answer:
    """Score the first records of a file: counts of faults and warnings, and a few sample predictions."""
    model = scorer(request["model"], request["version"])
    data = base64.b64decode(request["sample"])
    added = len(model.card.result_columns)
    dialect = Dialect.decode(request.get("dialect", {}))
    header = base64.b64decode(request.get("header", ""))
    layout = Layout(
        request["delimiter"],
        request["width"],
        request["columns"],
        added,
        dialect=dialect,
        header=header,
        of_json=request.get("of_json", False),
    )
    chunk = InputChunk(1, 0, data, tuple(request.get("open_quotes", ())))
    scored = score_chunk(chunk, layout, [model], request["threshold"], bisect=True, isolated_seconds=isolated_seconds)
    rows = csv.reader(
        io.StringIO(scored.output.decode("utf-8", "replace"), newline=""), delimiter=layout.delimiter, strict=False
    )
    examples = [
        _example(row, number, layout, model.card)
        for number, row in zip(range(1, _MAX_EXAMPLES + 1), rows, strict=False)
    ]
    return {
        "rows_seen": scored.scored + scored.rejected,
        "faults": _counted(scored.summary, FAULT),
        "warnings": _counted(scored.summary, WARNING),
        "examples": examples,
    }


def _counted(summary: Mapping[str, int], kind: str) -> list[Answer]:
    """Return the faults or warnings that a summary counts, by code and column."""
    counts = [(name.split(":", 2), count) for name, count in summary.items() if name.startswith(f"{kind}:")]
    return [{"code": code, "column": column or None, "count": count} for (_, code, column), count in counts]


def _example(row: Sequence[str], number: int, layout: Layout, card: Card) -> Answer:
    several = len(card.prediction_columns)
    *added, error = row[layout.width : layout.width + layout.added]
    predicted, scores = added[:several], added[several:]
    return {
        "row": number,
        "record": {name: layout.dialect.value_of(row[at]) for name, at in layout.columns.items()},
        **{
            name: layout.dialect.value_of(text) or None
            for name, text in zip(card.prediction_columns, predicted, strict=True)
        },
        **{
            name: float(text.replace(layout.dialect.decimal, ".")) if text else None
            for name, text in zip(card.score_columns, scores, strict=True)
        },
        "error": layout.dialect.value_of(error) or None,
    }


_ANSWERS = {"predict": _predict_records, "preview": _answer_preview}
