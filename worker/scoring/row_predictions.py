"""Predictions of a chunk's valid rows by each model of its job, as a whole, by bisection or in a sandbox."""

import io
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.columns import Column, Floats
from model.errors import failure_reason
from model.faults import Faults
from model.schema import Fault, FaultCode
from model.scorer import Predictions, Scorer
from worker.sandbox import MAX_KILLS, TimeLeft, run_isolated
from worker.scoring.explanations import effects_of
from worker.scoring.rejects import FaultColumn

NO_ANSWER = "its process ended or took too long"
"""Why a record is rejected that crashes or hangs the process that scores it."""

Rows = NDArray[np.int64]
# What an isolated process sends before the reason for which it has no predictions; these begin otherwise.
_RAISED = b"raised:"


@dataclass(frozen=True, slots=True)
class RowPredictions:
    """Predictions of n records by each model and, if explained, the features' effects, shape (n, features).

    Effects on a record that cannot be explained are NaN.
    """

    predictions: tuple[Predictions, ...]
    effects: Floats | None = None

    @classmethod
    def joined(cls, parts: Sequence[Self], order: Rows) -> Self:
        """Join at least one part, with the rows in the given order."""
        by_model = zip(*(part.predictions for part in parts), strict=True)
        effects = [part.effects for part in parts if part.effects is not None]
        return cls(
            tuple(Predictions.joined(predictions, order) for predictions in by_model),
            np.concatenate(effects)[order] if effects else None,
        )

    def encode(self) -> bytes:
        """Encode without pickle: the process that made the predictions may not be trusted."""
        arrays = [part for made in self.predictions for part in (made.values, made.scores)]
        buffer = io.BytesIO()
        for array in (*arrays, *([] if self.effects is None else [self.effects])):
            np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Decode what ``encode`` returned."""
        buffer, arrays = io.BytesIO(encoded), []
        while buffer.tell() < len(encoded):
            arrays.append(np.load(buffer, allow_pickle=False))
        # Each model has two arrays; one more is that of the effects.
        effects = arrays.pop() if len(arrays) % 2 else None
        return cls(tuple(Predictions(*pair) for pair in zip(arrays[::2], arrays[1::2], strict=True)), effects)


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows that were scored, shape (k,), ascending, their predictions, and rows that a model failed on."""

    rows: Rows
    answers: RowPredictions
    failed: FaultColumn


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """Valid rows to score with one model or two.

    ``columns`` holds, per model, its dictionary-coded columns by feature.
    """

    scorers: Sequence[Scorer]
    columns: Sequence[Mapping[str, Column]]
    threshold: float | None
    explained: bool

    def of(self, rows: Rows) -> "ScoringRequest":
        """Return a request for some of the rows, by index."""
        return ScoringRequest(self.scorers, [select(own, rows) for own in self.columns], self.threshold, self.explained)

    def run(self) -> RowPredictions:
        """Predict, and explain if requested; raise ``ScoringFailed`` as the models do."""
        pairs = list(zip(self.scorers, self.columns, strict=True))
        predictions = tuple(scorer.predict_coded(own, self.threshold) for scorer, own in pairs)
        return RowPredictions(predictions, self._effects() if self.explained else None)

    def _effects(self) -> Floats:
        rows = len(next(iter(self.columns[0].values()))[1])
        return effects_of(self.scorers[0], rows, partial(select, self.columns[0]))


def score(request: ScoringRequest, rows: Rows, bisect: bool, isolated_seconds: float | None = None) -> ScoredRows:
    """Score the rows with these numbers.

    With ``bisect``, rows that a model fails on are found by halving. With ``isolated_seconds``, a limit for all of the
    work, rows that crash or hang their process are found as well; nothing is explained then.

    Raises:
        ScoringFailed: a model failed, without ``bisect``.
        OSError: the system could not start a process.
    """
    if isolated_seconds:
        # Without explanations, which may be what crashes the process or takes too long.
        scored = _score_isolated(replace(request, explained=False), rows, isolated_seconds)
        return _unexplained(scored, request) if request.explained else scored
    if bisect:
        return _score_bisecting(request, rows)
    return ScoredRows(rows, request.run(), failed(rows[:0]))


def failed(rows: Rows, why: str = "the model could not score it") -> FaultColumn:
    """Return the fault of rows that could not be scored."""
    return FaultColumn(rows, np.zeros(len(rows), np.int64), Faults.of(None, [Fault(FaultCode.SCORING_FAILED, why)]))


def _failed_with_reasons(reasons: Mapping[int, str]) -> FaultColumn:
    """Return the faults of rows that could not be scored, each with the reason."""
    rows = np.array(sorted(reasons), np.int64)
    distinct = sorted(set(reasons.values()))
    codes = np.array([distinct.index(reasons[row]) for row in rows.tolist()], np.int64)
    details = [Fault(FaultCode.SCORING_FAILED, f"the model could not score it: {reason}") for reason in distinct]
    return FaultColumn(rows, codes, Faults.of(None, details))


def select(columns: Mapping[str, Column], rows: Rows) -> dict[str, Column]:
    """Select rows, ascending, of dictionary-coded columns; drop distinct values that none of them has."""
    if all(len(codes) == len(rows) for _, codes in columns.values()):
        return dict(columns)
    selected = {}
    for name, (values, codes) in columns.items():
        taken = codes[rows]
        used = np.bincount(taken, minlength=len(values)) > 0
        selected[name] = (values, taken) if used.all() else (values[used], (np.cumsum(used) - 1)[taken])
    return selected


def _unexplained(scored: ScoredRows, request: ScoringRequest) -> ScoredRows:
    effects = np.full((len(scored.rows), len(request.scorers[0].card.features)), np.nan)
    return replace(scored, answers=replace(scored.answers, effects=effects))


def _score_bisecting(request: ScoringRequest, rows: Rows) -> ScoredRows:
    """Score by bisection: halve each part that a model fails on, down to the single rows that it cannot score."""
    waiting, done = [np.arange(len(rows))], []
    reasons: dict[int, str] = {}
    while waiting:
        part = waiting.pop()
        try:
            done.append((part, request.of(part).run()))
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the row that it fails on is rejected
            if len(part) == 1:
                reasons[int(part[0])] = failure_reason(error)
            else:
                waiting += np.array_split(part, 2)
    return _join_parts(request, rows, done, reasons)


def _score_isolated(request: ScoringRequest, rows: Rows, seconds: float) -> ScoredRows:
    """Score by parts in another process; score a part that crashes it row by row.

    √n parts of √n rows keep both costs low: of the forks after a crash, and of the rows that are scored alone.
    """
    request.of(rows[:0]).run()  # a request that fails without any row fails here
    parts = np.array_split(np.arange(len(rows)), math.isqrt(len(rows)) + 1)
    waiting = deque(part for part in parts if len(part))
    left, kills = TimeLeft(seconds, len(rows)), Counter[int]()
    done = []
    reasons: dict[int, str] = {}
    while waiting:
        asked = len(waiting)
        result = run_isolated([partial(_score_part, request, part) for part in waiting], left.share())
        for answer in result.answers:
            part = waiting.popleft()
            if not answer.startswith(_RAISED):
                done.append((part, RowPredictions.decode(answer)))
            elif len(part) > 1:
                waiting.extend(np.split(part, len(part)))
            else:
                reasons[int(part[0])] = answer.removeprefix(_RAISED).decode()
        # With fewer answers, the process has ended at the part after the last one.
        if len(result.answers) == asked:
            continue
        part = waiting.popleft()
        if len(part) > 1:
            waiting.extendleft(np.split(part, len(part))[::-1])
        # A row whose process was killed from outside may be blameless: it is tried again, up to a limit.
        elif result.killed and kills[int(part[0])] < MAX_KILLS - 1:
            kills[int(part[0])] += 1
            waiting.appendleft(part)
        else:
            reasons[int(part[0])] = NO_ANSWER
    return _join_parts(request, rows, done, reasons)


def _score_part(request: ScoringRequest, part: Rows) -> bytes:
    """Return the encoded predictions of a part, or why the model fails on it."""
    try:
        return request.of(part).run().encode()
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        return _RAISED + failure_reason(error).encode("utf-8", "replace")


def _join_parts(
    request: ScoringRequest, rows: Rows, done: list[tuple[Rows, RowPredictions]], reasons: Mapping[int, str]
) -> ScoredRows:
    # Without any scored row, a prediction of no rows has the right arrays.
    done = done or [(rows[:0], request.of(rows[:0]).run())]
    places = np.concatenate([part for part, _ in done])
    order = np.argsort(places)
    answers = RowPredictions.joined([answer for _, answer in done], order)
    failures = _failed_with_reasons({int(rows[place]): reason for place, reason in reasons.items()})
    return ScoredRows(rows[places[order]], answers, failures)
