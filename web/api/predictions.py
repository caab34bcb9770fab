"""The API's endpoints for single predictions."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any

import orjson
from flask import Response, request, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from jobs.errors import UploadRefused
from model.card import Card
from model.schema import Fault, Value
from web.api.openapi import answer, json_body, operation_name, parameters, problems
from web.api.request_schemas import PredictionHeader, PredictionPath
from web.api.schemas import PendingDocument, Prediction, PredictionRequest
from web.ids import unknown_prediction
from web.prediction_client import make_request
from web.prefer_header import preferred_wait, prefers_async
from web.problems import Problem, fault_detail, invalid_parameters
from web.services import services
from web.uploads.bodies import has_arrived
from web.uploads.options import parse_model, parse_threshold

api = APIBlueprint(
    "predictions",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="predictions", description="one record, now")],
    operation_id_callback=operation_name,
)

DEFAULT_WAIT_SECONDS = 10.0
_MAX_BODY_BYTES = 16 * 1024 * 1024


@api.post(
    "/predictions",
    summary="Predict one record, or up to 1,000",
    responses={
        200: answer(Prediction, "the prediction, or one for each record"),
        202: answer(PendingDocument, "not there yet", "Location", "Retry-After"),
        **problems(400, 413, 415, 422, 429, 503),
    },
    openapi_extensions={"x-parameters": parameters(header=PredictionHeader), "requestBody": json_body()},
)
def create_prediction() -> Response:
    """Runs as a task like everything else; what is not done in time can be fetched later."""
    asked = _read_body()
    card = parse_model(asked.model, services().catalog, asked.version)
    if asked.threshold is not None:
        parse_threshold(repr(asked.threshold), card)
    several = asked.records is not None
    request_ = make_request(card, _validated(asked, card), asked.threshold, several)
    prefer = request.headers.get("Prefer")
    wait = preferred_wait(prefer)
    seconds = 0.0 if prefers_async(prefer) and wait is None else DEFAULT_WAIT_SECONDS if wait is None else wait
    prediction_id, result = services().predictions.ask(request_, seconds)
    if result is None:
        return _pending(prediction_id)
    return _json(prediction_document(prediction_id, result))


@api.get(
    "/predictions/<prediction:prediction_id>",
    summary="Get a prediction",
    responses={
        200: answer(Prediction, "the prediction, or one for each record"),
        202: answer(PendingDocument, "not there yet", "Location", "Retry-After"),
        **problems(404, 422, 503),
    },
)
def get_prediction(path: PredictionPath) -> Response:
    """The prediction, or where it stands."""
    prediction_id = path.prediction_id
    whole, _, place = prediction_id.partition(".")
    stored = services().stored_predictions.get(whole)
    if stored is None:
        raise unknown_prediction(prediction_id)
    if stored.result is None:
        return _pending(prediction_id)
    result = stored.result
    if not place:
        return _json(prediction_document(prediction_id, result))
    items = result.get("items", [])
    if int(place) >= len(items):
        raise unknown_prediction(prediction_id)
    alone = {**result, "items": [items[int(place)]], "several": False}
    return _json(prediction_document(prediction_id, alone))


def _read_body() -> PredictionRequest:
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UploadRefused("unsupported_media_type", f"{request.mimetype!r} is not read; send application/json")
    request.max_content_length = _MAX_BODY_BYTES
    try:
        with nullcontext() if has_arrived(request) else services().limits.records.held(request.remote_addr or ""):
            text = request.get_data(cache=False)
        if len(text) >= _MAX_BODY_BYTES:  # of a body without a length, the rest is cut off without a word
            raise _too_large()
        document = parse_object(text)
    except ClientDisconnected as error:
        raise UploadRefused("malformed_body", "the body broke off before its end, or came too slowly") from error
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    try:
        asked = PredictionRequest.model_validate(document)
    except ValidationError as error:
        problem = invalid_parameters(error)
        threshold = any(item["loc"][0] == "threshold" for item in error.errors())
        raise UploadRefused("bad_threshold", "threshold is not a number in 0..1") if threshold else problem from error
    if (asked.record is None) == (asked.records is None):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", 'give either "record" or "records"')
    return asked


def _too_large() -> UploadRefused:
    return UploadRefused("too_large", f"less than {_MAX_BODY_BYTES} bytes of JSON are taken")


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, its numbers of any size, its texts free of lone surrogates.

    Raises:
        UploadRefused: ``malformed_body``.
    """
    try:
        document = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise UploadRefused("malformed_body", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UploadRefused("malformed_body", 'the body is not a JSON object with "record" or "records"')
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _validated(asked: PredictionRequest, card: Card) -> list[dict[str, Any]]:
    """The records as the schema validates them; of several, one that is invalid carries its problem.

    Raises:
        Problem: ``invalid_record``, when the one record is invalid.
    """
    if asked.record is not None:
        values, faults, warnings = card.record_schema.validate_record(asked.record)
        if faults:
            raise invalid_record(faults)
        return [validated_record(values, warnings)]
    records: list[dict[str, Any]] = []
    for record in asked.records or ():
        values, faults, warnings = card.record_schema.validate_record(record)
        records.append({"error": invalid_record(faults).as_dict()} if faults else validated_record(values, warnings))
    return records


def validated_record(values: Mapping[str, Value], warnings: Sequence[Fault]) -> dict[str, Any]:
    """A record on its way to a worker, with what of it never occurred in training."""
    return {"values": values} | ({"warnings": [fault_detail(warning) for warning in warnings]} if warnings else {})


def invalid_record(faults: list[Any]) -> Problem:
    """The problem of a record, with every fault."""
    errors = [fault_detail(fault) for fault in faults]
    detail = "; ".join(f"{fault.column}: {fault.detail}" for fault in faults)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_record", detail, errors)


def prediction_document(prediction_id: str, result: dict[str, Any]) -> dict[str, Any]:
    """A worker's answer as the contract shows it. Raises Problem ``scoring_failed`` for a single record."""
    model = {"name": result["model"], "version": result["version"]}
    if result["several"]:
        base = result.get("items") or [{"error": result["error"]}]
        items = [_item(f"{prediction_id}.{place}", model, item) for place, item in enumerate(base)]
        return {"id": prediction_id, "predictions": items, "links": _links(prediction_id)}
    item = result["items"][0] if "items" in result else result
    if "error" in item:
        raise _failed(item["error"])
    return _item(prediction_id, model, item)


def _item(prediction_id: str, model: dict[str, str], item: dict[str, Any]) -> dict[str, Any]:
    if "error" in item:
        error = item["error"]
        return {"error": error if "type" in error else _failed(error).as_dict()}
    return {"id": prediction_id, "model": model, **item, "links": _links(prediction_id)}


def _failed(error: dict[str, Any]) -> Problem:
    if "type" in error:
        return Problem(error["status"], error["code"], error["detail"], error["errors"])
    status = HTTPStatus.SERVICE_UNAVAILABLE if error["code"] == "broken_model" else HTTPStatus.UNPROCESSABLE_ENTITY
    return Problem(status, error["code"], error["detail"])


def _links(prediction_id: str) -> dict[str, str]:
    return {"self": url_for("predictions.get_prediction", prediction_id=prediction_id)}


def _pending(prediction_id: str) -> Response:
    links = _links(prediction_id)
    response = _json({"id": prediction_id, "state": "queued", "links": links}, HTTPStatus.ACCEPTED)
    response.headers["Location"] = links["self"]
    response.headers["Retry-After"] = "1"
    return response


def _json(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")
