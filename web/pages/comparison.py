"""Two models compared on one file, as the page of their job shows them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.state import Job
from web.pages.formatting import format_number, format_percent, format_significant
from web.uploads.options import model_labels


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two models agree, in sentences, and how many rows each assigned to which class."""

    labels: list[str]
    sentences: list[str]
    counts: list[tuple[str, list[int]]]


def comparison(summary: Mapping[str, Any], job: Job) -> Comparison | None:
    """Return the comparison in a summary document; None for a job of one model."""
    if not job.compared:
        return None
    predicted = [model["predictions"] for model in summary["models"]]
    names = sorted({name for counts in predicted for name in counts})
    return Comparison(
        labels=model_labels(job.models),
        sentences=_sentences(summary["agreement"]),
        counts=[(name, [counts.get(name, 0) for counts in predicted]) for name in names],
    )


def _sentences(agreement: Mapping[str, Any] | None) -> list[str]:
    if agreement is None:
        return []
    rows = f"{format_number(agreement['rows'])} scored {'row' if agreement['rows'] == 1 else 'rows'}"
    difference = agreement["mean_difference"]
    if agreement["equal"] is None and difference is None:
        return ["The models predict different targets, so their predictions are only shown side by side."]
    if agreement["equal"] is None:
        return [f"Mean absolute difference of their predictions over {rows}: {format_significant(difference)}."]
    sentences = [f"The models agree on {format_percent(agreement['share'], 1)} of {rows}."]
    if difference is not None:
        points = format_significant(round(100 * difference, 2))
        sentences.append(f"Mean absolute difference of their probabilities: {points} percentage points.")
    return sentences
