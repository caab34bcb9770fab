"""Endpoints for single predictions."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, request, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import ValidationError

from jobs.errors import UploadRefused
from model.card import Card
from model.schema import Fault, Value
from web.api.openapi import answer, json_body, operation_name, parameters, problems
from web.api.request_schemas import PredictionHeader, PredictionPath
from web.api.schemas import PendingDocument, Prediction, PredictionRequest
from web.auth.identity import current_identity
from web.ids import unknown_prediction
from web.prediction_client import make_request
from web.prefer_header import preferred_wait, prefers_async
from web.problems import Problem, fault_detail, invalid_parameters
from web.responses import json_response
from web.services import services
from web.uploads.json_bodies import has_json, parse_object, read_json
from web.uploads.options import parse_model, parse_threshold

api = APIBlueprint(
    "predictions",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="predictions", description="single records, answered at once")],
    operation_id_callback=operation_name,
)

DEFAULT_WAIT_SECONDS = 10.0


@api.post(
    "/predictions",
    summary="Predict one record, or up to 1,000",
    responses={
        200: answer(Prediction, "the prediction, or one for each record"),
        202: answer(PendingDocument, "not answered yet", "Location", "Retry-After"),
        **problems(400, 413, 415, 422, 429, 503),
    },
    openapi_extensions={"x-parameters": parameters(header=PredictionHeader), "requestBody": json_body()},
)
def create_prediction() -> Response:
    """Runs as a task like everything else. A prediction that takes too long can be fetched later."""
    body = _read_body()
    card = parse_model(body.model, services().catalog, body.version)
    if body.threshold is not None:
        parse_threshold(repr(body.threshold), card)
    several = body.records is not None
    records, owner = _validated(body, card), current_identity().owner
    services().store.user_limits.reserve_rows(owner, len(records))
    request_ = make_request(card, records, body.threshold, several, owner=owner)
    prefer = request.headers.get("Prefer")
    wait = preferred_wait(prefer)
    seconds = 0.0 if prefers_async(prefer) and wait is None else DEFAULT_WAIT_SECONDS if wait is None else wait
    prediction_id, result = services().predictions.ask(request_, seconds)
    if result is None:
        return _pending(prediction_id)
    return json_response(prediction_document(prediction_id, result))


@api.get(
    "/predictions/<prediction:prediction_id>",
    summary="Get a prediction",
    responses={
        200: answer(Prediction, "the prediction, or one for each record"),
        202: answer(PendingDocument, "not answered yet", "Location", "Retry-After"),
        **problems(404, 422, 503),
    },
)
def get_prediction(path: PredictionPath) -> Response:
    """The prediction, or its state."""
    prediction_id = path.prediction_id
    whole, _, place = prediction_id.partition(".")
    stored = services().stored_predictions.get(whole)
    if stored is None or not current_identity().owns(stored.owner):
        raise unknown_prediction(prediction_id)
    if stored.result is None:
        return _pending(prediction_id)
    result = stored.result
    if not place:
        return json_response(prediction_document(prediction_id, result))
    items = result.get("items", [])
    if int(place) >= len(items):
        raise unknown_prediction(prediction_id)
    alone = {**result, "items": [items[int(place)]], "several": False}
    return json_response(prediction_document(prediction_id, alone))


def _read_body() -> PredictionRequest:
    if not has_json(request):
        raise UploadRefused("unsupported_media_type", f"{request.mimetype!r} is not supported; send application/json")
    document = parse_object(read_json(request, services().limits.records))
    try:
        body = PredictionRequest.model_validate(document)
    except ValidationError as error:
        problem = invalid_parameters(error)
        threshold = any(item["loc"][0] == "threshold" for item in error.errors())
        raise UploadRefused("bad_threshold", "threshold is not a number in 0..1") if threshold else problem from error
    if (body.record is None) == (body.records is None):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", 'give either "record" or "records"')
    return body


def _validated(body: PredictionRequest, card: Card) -> list[dict[str, Any]]:
    """Validate the records. Of several, an invalid one carries its problem.

    Raises:
        Problem: ``invalid_record``, if a single record is invalid.
    """
    if body.record is not None:
        values, faults, warnings = card.record_schema.validate_record(body.record)
        if faults:
            raise invalid_record(faults)
        return [validated_record(values, warnings)]
    records: list[dict[str, Any]] = []
    for record in body.records or ():
        values, faults, warnings = card.record_schema.validate_record(record)
        records.append({"error": invalid_record(faults).as_dict()} if faults else validated_record(values, warnings))
    return records


def validated_record(values: Mapping[str, Value], warnings: Sequence[Fault]) -> dict[str, Any]:
    """Return a validated record for a worker, with its warnings."""
    return {"values": values} | ({"warnings": [fault_detail(warning) for warning in warnings]} if warnings else {})


def invalid_record(faults: list[Any]) -> Problem:
    """Return the problem of an invalid record, with every fault."""
    errors = [fault_detail(fault) for fault in faults]
    detail = "; ".join(f"{fault.column}: {fault.detail}" for fault in faults)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_record", detail, errors)


def prediction_document(prediction_id: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's answer as the API shows it; raise Problem ``scoring_failed`` if a single record failed.

    A plain dictionary: validating a thousand records and their contributions would cost more than scoring them. Tests
    hold it to ``Prediction``.
    """
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
    response = json_response(PendingDocument(id=prediction_id, state="queued", links=links), HTTPStatus.ACCEPTED)
    response.headers["Location"] = links["self"]
    response.headers["Retry-After"] = "1"
    return response
