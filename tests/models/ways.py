"""How users get predictions from the running service: the command line, a file, records, the form."""

import csv
import gzip
import html
import io
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.models.answers import ExpectedPredictions, close, same_label
from tests.stack import ROOT, Stack

SLOWEST_SECONDS = 600
RECORDS_AT_ONCE = 1000
GZIP = b"\x1f\x8b"
# The longest request line; a longer form is sent in a body.
MAX_ADDRESS = 4000
SCORE_COLUMN = re.compile(r"(probability|decision|score|distance)(_.*)?", re.DOTALL)


def run_model(stack: Stack, *words: str, command: Sequence[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m model``, or another command for it, on the service's folder."""
    arguments = [*(command or stack.model_command), "--directory", str(stack.folder / "models"), *words]
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(stack.folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=SLOWEST_SECONDS
    )


@dataclass(frozen=True)
class ScoredFile:
    """The results of a file: its records as they came, and what was added to each."""

    header: list[str]
    records: list[list[str]]
    added_header: list[str]
    added: list[list[str]]

    def column(self, name: str) -> list[str]:
        return [row[self.added_header.index(name)] for row in self.added]

    def only(self, place: int) -> "ScoredFile":
        """The one record."""
        return ScoredFile(self.header, [self.records[place]], self.added_header, [self.added[place]])

    @property
    def errors(self) -> list[str]:
        return self.column(self.added_header[-1])


def score_file(stack: Stack, name: str, data: bytes) -> tuple[dict[str, Any], ScoredFile, list[list[str]]]:
    """Upload a file; the job, its results, and the file's own records, the header first."""
    named = {"filename": "data.csv.gz"} if data.startswith(GZIP) else {}
    job, scored = stack.score(data, model=name, **named)
    return job, *read_results(data, scored, job["delimiter"])


def read_results(data: bytes, scored: bytes, delimiter: str) -> tuple[ScoredFile, list[list[str]]]:
    """What the results of a file hold, and the file's own records, the header first."""
    sent = list(_rows(gzip.decompress(data) if data.startswith(GZIP) else data, delimiter))
    header, *rows = _rows(scored, delimiter)
    width = len(sent[0])
    found = ScoredFile(header[:width], [row[:width] for row in rows], header[width:], [row[width:] for row in rows])
    return found, sent


def _rows(data: bytes, delimiter: str) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def predict_records(stack: Stack, name: str, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The predictions for records, up to a thousand per request."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(records), RECORDS_AT_ONCE):
        body = {"model": name, "records": records[start : start + RECORDS_AT_ONCE]}
        answer = stack.request("POST", "/api/v1/predictions", json=body, headers={"Prefer": "wait=60"})
        assert answer.status_code == 200, answer.text[:500]
        found += answer.json()["predictions"]
    return found


def form_page(stack: Stack, name: str, typed: dict[str, str]) -> tuple[int, str]:
    """Status and text of the page that the form leads to."""
    path = f"/models/{name}/prediction"
    if len(urlencode(typed)) < MAX_ADDRESS:
        answer = stack.get(path, params=typed)
    else:
        answer = stack.request("POST", path, data=typed, follow_redirects=True)
    return answer.status_code, answer.text


def typed(record: "pd.Series[Any]") -> dict[str, str]:
    """A record as somebody types it into the form."""
    return {str(name): "" if pd.isna(value) else _text(value) for name, value in record.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    return repr(value.item()) if isinstance(value, np.number) else str(value)


def differences_of_file(
    found: ScoredFile, wanted: ExpectedPredictions, targets: Sequence[str], has_scores: bool
) -> list[str]:
    """Where the added columns differ from the pipeline's predictions; one line for each kind of difference."""
    names = [name for name in found.added_header[:-1] if re.fullmatch(r"prediction(_.*)?", name, re.DOTALL)]
    wrong = []
    if len(targets) > 1 and names != [f"prediction_{target}" for target in targets]:
        wrong.append(f"columns {found.added_header}: not one for each of {targets}")
    if len(found.added) != len(wanted.labels):
        return [*wrong, f"{len(found.added)} rows, not {len(wanted.labels)}"]
    wrong += _wrongly_rejected(found.errors, wanted)
    for name, labels in zip(names, wanted.labels.T, strict=False):
        wrong += _different_labels(name, found.column(name), labels.tolist(), found.errors)
    shown = [name for name in found.added_header[:-1] if SCORE_COLUMN.fullmatch(name)]
    if has_scores and "probability" in wanted.scores and not any(name.startswith("probability") for name in shown):
        wrong.append(f"no probabilities in {found.added_header}")
    if shown and wanted.scores:
        kind = str(SCORE_COLUMN.fullmatch(shown[0])[1])  # type: ignore[index]
        if kind not in wanted.scores:
            wrong.append(f"columns {shown}, and the pipeline has {list(wanted.scores)}")
        else:
            rows = np.flatnonzero(wanted.answered & (np.array(found.errors) == ""))
            numbers = np.array([[float(text or "nan") for text in found.column(name)] for name in shown]).T
            wrong += _different_scores(kind, numbers[rows], wanted.scores[kind][rows])
    return wrong


def differences_of_records(
    found: Sequence[dict[str, Any]], wanted: ExpectedPredictions, targets: Sequence[str]
) -> list[str]:
    """Where the predictions for records differ from the pipeline's."""
    if len(found) != len(wanted.labels):
        return [f"{len(found)} answers, not {len(wanted.labels)}"]
    errors = [str(item["error"].get("detail", item["error"])) if "error" in item else "" for item in found]
    wrong = _wrongly_rejected(errors, wanted)
    for place, wanted_labels in enumerate(wanted.labels.T):
        labels = [_label_of(item.get("prediction"), targets, place) for item in found]
        wrong += _different_labels("prediction", labels, wanted_labels.tolist(), errors)
    for kind, plural in (("probability", "probabilities"), ("decision", "decisions"), ("score", ""), ("distance", "")):
        if kind not in wanted.scores:
            continue
        rows = np.flatnonzero(wanted.answered & (np.array(errors) == ""))
        numbers = [_numbers(found[row], kind, plural) for row in rows]
        if rows.size and all(row is not None for row in numbers):
            wrong += _different_scores(kind, np.array(numbers, float).reshape(len(rows), -1), wanted.scores[kind][rows])
    return wrong


def _wrongly_rejected(errors: Sequence[str], wanted: ExpectedPredictions) -> list[str]:
    """Rows that are rejected though the pipeline predicts them, or predicted though it raises on them."""
    answered = wanted.answered
    rejected = [row for row, error in enumerate(errors) if error and answered[row]]
    passed = [row for row, error in enumerate(errors) if not error and not answered[row]]
    wrong = []
    if rejected:
        first = rejected[0]
        wrong.append(f"{len(rejected)} of {len(errors)} rows rejected, first row {first + 1}: {errors[first]}")
    if passed:
        wrong.append(f"{len(passed)} of {len(errors)} rows answered that the pipeline does not, first {passed[0] + 1}")
    return wrong


def _label_of(prediction: Any, targets: Sequence[str], place: int) -> Any:
    return prediction[targets[place]] if isinstance(prediction, dict) else prediction


def _numbers(item: dict[str, Any], kind: str, plural: str) -> list[float] | None:
    if plural and plural in item:
        return list(item[plural].values())
    return [item[kind]] if kind in item else None


def _different_labels(name: str, found: Sequence[Any], wanted: Sequence[Any], errors: Sequence[str]) -> list[str]:
    pairs = zip(found, wanted, errors, strict=True)
    wrong = [row for row, (a, b, error) in enumerate(pairs) if not error and b is not None and not same_label(a, b)]
    if not wrong:
        return []
    first = wrong[0]
    return [f"{name}: {len(wrong)} of {len(wanted)} differ, row {first + 1}: {found[first]!r} for {wanted[first]!r}"]


def _different_scores(kind: str, found: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[str]:
    if found.shape != wanted.shape:
        return [f"{kind}: {found.shape[1]} columns, not {wanted.shape[1]}"]
    wrong = ~np.isclose(found, wanted, rtol=1e-6, atol=1e-6, equal_nan=True)
    if not wrong.any():
        return []
    row = int(np.flatnonzero(wrong.any(axis=1))[0])
    count = int(wrong.any(axis=1).sum())
    return [f"{kind}: {count} of {len(wanted)} differ, first row {row + 1}: {found[row]} for {wanted[row]}"]


def differences_of_page(page: tuple[int, str], wanted: ExpectedPredictions, place: int) -> list[str]:
    """Where the page does not show the pipeline's prediction for row ``place``."""
    status, text = page
    if not wanted.answered[place]:
        return [] if status == 422 else [f"the form answers {status}, and the pipeline raises"]
    if status != 200:
        faults = " ".join(re.findall(r'class="error"[^>]*>([^<]+)', text)) or re.sub(r"\s+", " ", text)[:200]
        return [f"the form answers {status}: {html.unescape(faults)}"]
    outcome = re.search(r'id="outcome".*?</section>', text, re.DOTALL)
    if not outcome:
        return ["the page has no outcome"]
    shown = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", outcome[0])).split())
    return [
        f"the page does not show {label!r}: {shown[:200]}"
        for label in wanted.labels[place].tolist()
        if not _shows(shown, label)
    ]


def _shows(shown: str, label: Any) -> bool:
    """Whether a text of the page contains a label, or a number with the digits that are shown."""
    if isinstance(label, float | np.floating):
        texts = re.findall(r"[-\N{MINUS SIGN}]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?", shown)
        numbers = [float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in texts]
        return any(close(number, float(f"{label:.6g}")) for number in numbers)
    return any(
        text in shown for text in (" ".join(str(label).split()), f"{label:,}" if isinstance(label, int) else str(label))
    )
