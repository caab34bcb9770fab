"""Turn entries of the outbox into rows of the database. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from database.column_types import from_epoch, plain_text, week_of
from database.history_writer import AnsweredRecord, Batch, EndedJob, ModelWeek
from database.record_hash import record_hash
from jobs.store.outbox import EntryKind, OutboxEntry
from model.monitoring.counts import FAULT, PREDICTION, PROBABILITY, PROBABILITY_BINS, REPAIRED, SECOND_MODEL, WARNING

JOBS, ROWS, REJECTED, WARNED, SINGLE = "jobs", "rows", "rejected", "warned", "single"
"""Names of weekly counts beside those of summaries; ``single`` are single predictions."""

_NUMBERS = {"size": "bytes", "total": "rows", "scored": "scored", "rejected": "rejected", "warned": "warned"}


def to_batch(entries: list[OutboxEntry]) -> Batch:
    """Return the rows of entries; changes of models are not part of the history.

    Raises:
        ValueError, KeyError, TypeError: an entry is not one of the store's, or of a newer version.
    """
    if unknown := {entry.fields["kind"] for entry in entries} - set(EntryKind):
        raise ValueError(f"entries of the kinds {sorted(unknown)}")
    jobs = [_ended_job(entry) for entry in entries if entry.fields["kind"] == EntryKind.JOB]
    predictions = [row for entry in entries if entry.fields["kind"] == EntryKind.PREDICTION for row in _answered(entry)]
    return Batch(jobs, predictions)


def _ended_job(entry: OutboxEntry) -> EndedJob:
    fields = entry.fields
    # As Redis returns a hash: names and counts in turn.
    flat = orjson.loads(fields["summary"]) or []
    summary = {name: int(count) for name, count in zip(flat[::2], flat[1::2], strict=True)}
    compared, _, compared_version = fields["compared"].partition("@")
    finished = datetime.fromtimestamp(float(fields["finished"]), UTC)
    row = {
        "id": fields["id"],
        "owner": fields["owner"] or None,
        "visibility": fields["visibility"] or "private",
        "name": plain_text(fields["filename"]),
        "model": fields["model"],
        "version": fields["version"],
        "compared_model": compared or None,
        "compared_version": compared_version or None,
        "state": fields["state"],
        **{column: int(fields[name]) if fields[name] else None for name, column in _NUMBERS.items()},
        "repaired": int(fields.get("repaired") or 0),
        "threshold": float(fields["threshold"]) if fields["threshold"] else None,
        "created": from_epoch(float(fields["created"])),
        "started": from_epoch(float(fields["started"])) if fields["started"] else None,
        "finished": finished,
        "week": week_of(finished),
    }
    return EndedJob(row, summary, plain_text(fields["error"] or None), _job_counts(row, summary))


def _job_counts(row: Mapping[str, Any], summary: Mapping[str, int]) -> dict[ModelWeek, dict[str, int]]:
    """Return what a job adds to the counts of its model, and of the second one if it compared two."""
    week = row["week"]
    own = {name: count for name, count in summary.items() if not name.startswith((SECOND_MODEL, f"{REPAIRED}:"))}
    common = {JOBS: 1, ROWS: row["scored"] or 0, REJECTED: row["rejected"] or 0, WARNED: row["warned"] or 0}
    counts: dict[ModelWeek, dict[str, int]] = {(row["model"], row["version"], week): common | own}
    second = (row["compared_model"], row["compared_version"], week)
    if row["compared_model"] and second not in counts:
        prefixed = {name: count for name, count in summary.items() if name.startswith(SECOND_MODEL)}
        # Both models got the same rows, and so the same values and faults.
        shared = {n: c for n, c in own.items() if n.startswith(("drift:", f"{FAULT}:", f"{WARNING}:"))}
        counts[second] = common | shared | {name.removeprefix(SECOND_MODEL): n for name, n in prefixed.items()}
    return counts


def _answered(entry: OutboxEntry) -> Iterator[AnsweredRecord]:
    if "brief" in entry.fields:
        # Records are not kept: the entry holds what was predicted, for the counts.
        brief = orjson.loads(entry.fields["brief"])
        for place, predicted in enumerate(brief["predictions"]):
            yield _answered_record(entry, brief, place, None, {"prediction": predicted}, kept=False)
        return
    request, result = orjson.loads(entry.fields["request"]), orjson.loads(entry.fields["result"])
    items = result.get("items") or [{"error": result.get("error")}] * len(request["records"])
    for place, (record, item) in enumerate(zip(request["records"], items, strict=True)):
        yield _answered_record(entry, request, place, record.get("values"), item, kept=True)


def _answered_record(
    entry: OutboxEntry,
    request: Mapping[str, Any],
    place: int,
    values: Mapping[str, Any] | None,
    item: Mapping[str, Any],
    *,
    kept: bool,
) -> AnsweredRecord:
    model, version = request["model"], request["version"]
    time = datetime.fromtimestamp(entry.time, UTC)
    predicted, probability = item.get("prediction"), item.get("probability")
    row = {
        "id": f"{entry.fields['id']}.{place}" if request.get("several") else entry.fields["id"],
        "owner": request.get("owner"),
        "model": model,
        "version": version,
        "state": "failed" if predicted is None else "succeeded",
        "prediction": as_text(predicted) if kept else None,
        "probability": probability,
        "threshold": item.get("threshold"),
        "record_hash": record_hash(model, values) if values is not None else None,
        "time": time,
        "week": week_of(time),
    }
    counts = {SINGLE: 1} | _prediction_counts(predicted, probability)
    document = {"record": values, "answer": item} if kept else None
    return AnsweredRecord(row, document, {(model, version, row["week"]): counts})


def _prediction_counts(predicted: Any, probability: float | None) -> dict[str, int]:
    """Return the counts of a prediction, named as in a job's summary."""
    counts: dict[str, int] = {}
    if isinstance(predicted, str):
        counts[f"{PREDICTION}:{predicted}"] = 1
    elif isinstance(predicted, Mapping):
        counts |= {
            f"{PREDICTION}:{target}: {label}": 1 for target, label in predicted.items() if isinstance(label, str)
        }
    if probability is not None:
        counts[f"{PROBABILITY}:{min(int(probability * PROBABILITY_BINS), PROBABILITY_BINS - 1)}"] = 1
    return counts


def as_text(predicted: Any) -> str | None:
    """Return a prediction as a text: a class, a number, or one of these per target."""
    if isinstance(predicted, Mapping):
        predicted = "; ".join(f"{target}: {value}" for target, value in predicted.items())
    return plain_text(predicted)
