"""Answering single predictions, and previews of files, from a loaded model."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.messages import InputChunk
from jobs.predictions import WaitingPrediction
from model.errors import ModelError, ScoringFailed
from model.schema import FaultCode, Feature, Scalar, Value
from model.scorer import Scorer
from worker.models import scorer
from worker.parse import Layout
from worker.score_chunk import score_chunk

Answer = dict[str, Any]
_FAILED = {"code": FaultCode.SCORING_FAILED.value, "detail": "the model could not score this record"}
_BROKEN = {"code": "broken_model", "detail": "the model cannot be loaded"}
_DECIMALS = 6
_EXAMPLES = 5


def answer_all(waiting: Sequence[WaitingPrediction], most_attempts: int) -> list[tuple[WaitingPrediction, Answer]]:
    """Each request with its answer. Requests of one model that come for the first time are scored together."""
    answers: dict[str, Answer] = {}
    together: dict[tuple[str, str], list[WaitingPrediction]] = {}
    for prediction in waiting:
        request = prediction.request
        if prediction.attempt > most_attempts:
            answers[prediction.id] = {"error": _FAILED}
        elif prediction.attempt > 1 or request["kind"] != "predict":
            answers[prediction.id] = _answer_alone(request)
        else:
            together.setdefault((request["model"], request["version"]), []).append(prediction)
    for group in together.values():
        answers |= _answer_group(group)
    return [(prediction, _identified(answers[prediction.id], prediction.request)) for prediction in waiting]


def _identified(answer: Answer, request: Mapping[str, Any]) -> Answer:
    if request["kind"] != "predict":
        return answer
    return {**answer, "model": request["model"], "version": request["version"], "several": request["several"]}


def _answer_group(group: Sequence[WaitingPrediction]) -> dict[str, Answer]:
    try:
        items = iter(_predict([record for waiting in group for record in waiting.request["records"]], group[0].request))
    except ModelError:
        return {waiting.id: _answer_alone(waiting.request) for waiting in group}
    return {
        waiting.id: {"items": [_decided(next(items), waiting.request) for _ in waiting.request["records"]]}
        for waiting in group
    }


def _answer_alone(request: Mapping[str, Any]) -> Answer:
    if request["kind"] == "preview":
        return _preview_safely(request)
    return {"items": [_predict_one(record, request) for record in request["records"]]}


def _predict_one(record: Mapping[str, Any], request: Mapping[str, Any]) -> Answer:
    try:
        return _decided(_predict([record], request)[0], request)
    except ScoringFailed:
        return {"error": _FAILED}
    except ModelError:
        return {"error": _BROKEN}


def _predict(records: Sequence[Mapping[str, Any]], request: Mapping[str, Any]) -> list[Answer]:
    """Probabilities and effects of records as the schema validates them; a record that holds an error keeps it."""
    model = scorer(request["model"], request["version"])
    values = [record["values"] for record in records if "values" in record]
    answers = iter(_probabilities(values, model) if values else ())
    return [next(answers) if "values" in record else {"error": record["error"]} for record in records]


def _probabilities(values: Sequence[Mapping[str, Any]], model: Scorer) -> list[Answer]:
    probabilities, explanation = model.predict_and_explain_records(values)
    positive = probabilities.tolist()
    if explanation is None:
        return [{"probability": probability} for probability in positive]
    return [
        {
            "probability": probability,
            "baseline": explanation.baseline,
            "contributions": [
                {"feature": feature.name, "value": _shown(record[feature.name], feature), "effect": effect}
                for feature, effect in zip(model.card.features, effects, strict=True)
            ],
        }
        for probability, record, effects in zip(positive, values, explanation.effects.tolist(), strict=True)
    ]


def _shown(value: Value, feature: Feature) -> Scalar:
    return int(value) if feature.integer and isinstance(value, float) else value


def _decided(answer: Answer, request: Mapping[str, Any]) -> Answer:
    """The answer with its decision at the request's threshold, the probability in 6 decimals."""
    if "error" in answer:
        return answer
    negative, positive = request["classes"]
    probability = answer["probability"]
    decision = positive if probability >= request["threshold"] else negative
    rounded = round(probability, _DECIMALS)
    return {"prediction": decision, **answer, "probability": rounded, "threshold": request["threshold"]}


def _preview_safely(request: Mapping[str, Any]) -> Answer:
    try:
        return _preview(request)
    except ScoringFailed:
        return {"error": _FAILED}
    except ModelError:
        return {"error": _BROKEN}


def _preview(request: Mapping[str, Any]) -> Answer:
    """What scoring the first records of a file gives: counts of faults, and a few predictions."""
    model = scorer(request["model"], request["version"])
    data = base64.b64decode(request["sample"])
    layout = Layout(request["delimiter"], request["width"], request["columns"])
    scored = score_chunk(InputChunk(1, 0, data), layout, model, request["threshold"], apart=True)
    faults = [
        {"code": name.split(":")[1], "column": name.split(":", 2)[2] or None, "count": count}
        for name, count in scored.summary.items()
        if name.startswith("fault:")
    ]
    rows = csv.reader(io.StringIO(scored.output.decode(), newline=""), delimiter=layout.delimiter, strict=False)
    examples = [_example(row, number, layout) for number, row in zip(range(1, _EXAMPLES + 1), rows, strict=False)]
    return {"rows_seen": scored.scored + scored.rejected, "faults": faults, "examples": examples}


def _example(row: Sequence[str], number: int, layout: Layout) -> Answer:
    prediction, probability, error = row[layout.width : layout.width + 3]
    return {
        "row": number,
        "record": {name: row[at] for name, at in layout.columns.items()},
        "prediction": prediction or None,
        "probability": float(probability) if probability else None,
        "error": error or None,
    }
