"""Two models beside each other, as the page of their job shows them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.state import Job
from web.pages.formatting import grouped, grouped_digits, percent
from web.uploads.options import model_labels


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two models agree, in sentences, and how many rows each gave to which class."""

    labels: list[str]
    sentences: list[str]
    counts: list[tuple[str, list[int]]]


def comparison(summary: Mapping[str, Any], job: Job) -> Comparison | None:
    """What is shown of a summary (of the API); None for a job of one model."""
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
    sentences = []
    rows = f"{grouped(agreement['rows'])} scored {'row' if agreement['rows'] == 1 else 'rows'}"
    if agreement["equal"] is not None:
        sentences.append(f"They predict the same for {percent(agreement['share'], 1)} of the {rows}.")
        if agreement["mean_difference"] is not None:
            points = grouped_digits(round(100 * agreement["mean_difference"], 2))
            sentences.append(f"On average their probabilities are {points} percentage points apart.")
    elif agreement["mean_difference"] is not None:
        apart = grouped_digits(agreement["mean_difference"])
        sentences.append(f"On average of the {rows}, their predictions are {apart} apart.")
    else:
        sentences.append("They predict different things, so that their answers only stand side by side.")
    return sentences
