"""What the page of a job needs to correct its rejected rows: texts for the grid, and the jobs that belong together."""

from collections.abc import Mapping
from typing import Any

from jobs.state import Job, JobState
from jobs.store.job_store import JobStore
from model.schema import Feature
from web.auth.identity import current_identity
from web.jobs.rejected import RecordColumns
from web.pages.error_texts import PROBLEM_TEXTS, ROW_SUBJECT, expected_value, fault_texts

# Corrections of one job that its page links to; the latest.
_MAX_LISTED = 20
# Categories that are named where a value is none of them.
_MAX_NAMED = 5


def grid_texts(job: Job, features: Mapping[str, Feature]) -> dict[str, Any] | None:
    """Return the texts that the grid shows, by feature and code; None if there is nothing to correct."""
    if job.state is not JobState.SUCCEEDED or not job.rejected or not features:
        return None
    return {
        "titles": {name: feature.title for name, feature in features.items()},
        "expected": {name: _expected(feature) for name, feature in features.items()},
        "faults": fault_texts(job.format),
        "problems": PROBLEM_TEXTS,
        "row": ROW_SUBJECT,
        "row_column": RecordColumns.of(job).row,
    }


def _expected(feature: Feature) -> str:
    """Return what to enter for a feature: of few categories, their names."""
    if 1 < len(feature.categories) <= _MAX_NAMED and feature.limits_reject:
        *others, last = feature.categories
        return f"Enter {', '.join(others)} or {last}."
    return expected_value(feature)


def corrected_job(store: JobStore, job: Job) -> Job | None:
    """Return the job whose rejected rows this one corrects, if it still exists and may be seen."""
    return _visible(store, job.corrects) if job.corrects else None


def corrections_of(store: JobStore, job: Job) -> list[Job]:
    """Return the jobs that correct this one, still exist and may be seen, the latest first."""
    found = (_visible(store, job_id) for job_id in job.corrected_by[: -_MAX_LISTED - 1 : -1])
    return [other for other in found if other is not None]


def _visible(store: JobStore, job_id: str) -> Job | None:
    job = store.get(job_id)
    return job if job and current_identity().sees(job) else None
