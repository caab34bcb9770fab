"""Find columns of codes that a pipeline answers both as numbers and as texts, but not alike.

``01234`` is the number 1234 to ``read_csv``, and a text of five digits where its owner said so. Where the pipeline
keeps no values of the column and raises on neither reading, nothing in the file tells which one it was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.columns import Floats
from model.errors import RefusedModel
from model.onboarding.pipeline_inspection import PipelineInspection
from model.onboarding.reference import answers_to

_SAMPLED_ROWS = 200
# So many rows with a leading zero are tried for each column.
_ROWS_OF_ZEROS = 20
# Columns that are tried one by one, those of leading zeros and whole numbers first.
_MAX_COLUMNS_ALONE = 32
# Beyond, floats do not have every whole number.
_MAX_EXACT = 2**53
_LEADING_ZERO = r"\s*[+-]?0\d.*"


@dataclass(frozen=True, slots=True)
class _Predictions:
    predicted: NDArray[Any]
    scores: Floats

    def differing_rows(self, other: "_Predictions") -> NDArray[np.int64]:
        """Return the places of the rows for which the answers are not the same, ascending."""
        if self.scores.shape != other.scores.shape:
            return np.arange(len(self.predicted))
        same = _close(self.predicted, other.predicted) & _close(self.scores, other.scores)
        return np.flatnonzero(~same)


def check_codes(
    inspection: PipelineInspection, texts: pd.DataFrame, frame: pd.DataFrame, undecided: Sequence[str]
) -> None:
    """Raise RefusedModel where the pipeline answers an undecided column of numbers otherwise when it is one of texts.

    ``texts`` and ``frame``, shape (n, features), are records that the pipeline predicts, as the file and as pandas has
    them; they keep the labels of the table's rows. All columns are tried at once, and one by one where that makes a
    difference.
    """
    columns = [name for name in undecided if frame[name].dtype.kind in "iuf"]
    if not columns:
        return
    zeros = {name: texts[name].str.match(_LEADING_ZERO).to_numpy(np.bool_) for name in columns}
    places = _sampled_rows(zeros, len(frame))
    texts, numbers = texts.iloc[places], frame.iloc[places]
    as_numbers = _answers(inspection, numbers)
    as_texts = _answers(inspection, _with_texts(numbers, texts, columns))
    # Failing on all texts at once proves nothing: one column may raise and so hide another that differs.
    if as_numbers is None or (as_texts and not len(as_numbers.differing_rows(as_texts))):
        return
    # Codes are mostly written with leading zeros, or at least as whole numbers.
    order = sorted(columns, key=lambda name: (not zeros[name].any(), frame[name].dtype.kind == "f"))
    for name in order[:_MAX_COLUMNS_ALONE]:
        as_texts = _answers(inspection, _with_texts(numbers, texts, [name]))
        if as_texts is None or not len(rows := as_numbers.differing_rows(as_texts)):
            continue
        # With leading zeros, the texts say more than the numbers, and only the owner knows whether that counted.
        if zeros[name].any() or not _tells_only_numbers_apart(inspection, numbers, texts, name, as_numbers, as_texts):
            raise RefusedModel(_question(inspection, texts, numbers, name, rows[0], as_numbers, as_texts))


def wide_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of whole numbers some of which have more digits than a float keeps."""
    columns = [name for name in frame.columns if pd.api.types.is_integer_dtype(frame[name])]
    return [name for name in columns if (frame[name].dropna().astype("float64").abs() > _MAX_EXACT).any()]


def check_wide_numbers(inspection: PipelineInspection, frame: pd.DataFrame) -> None:
    """Raise RefusedModel where the pipeline answers whole numbers otherwise once they are rounded to floats.

    All numbers of records are floats.
    """
    columns = wide_columns(frame)
    if not columns:
        return
    own = _answers(inspection, frame)
    for name in columns:
        rounded = _answers(inspection, frame.assign(**{name: _rounded(frame[name])}))
        if own and (rounded is None or len(own.differing_rows(rounded))):
            raise RefusedModel(
                f"column {name!r} holds whole numbers of over 16 digits, which are rounded here, and the pipeline "
                f"answers the rounded ones otherwise; read it as text in training (--dtypes {name}=str) or leave it out"
            )


def _rounded(column: pd.Series) -> pd.Series:
    # ``Int64`` and ``int64[pyarrow]`` have the limits of NumPy's ``int64``. Rounding its largest number gives one
    # more, which the dtype cannot hold.
    limit = np.iinfo(str(column.dtype).lower().partition("[")[0]).max
    return column.map(lambda value: min(int(float(value)), limit), na_action="ignore").astype(column.dtype)


def _tells_only_numbers_apart(
    inspection: PipelineInspection,
    numbers: pd.DataFrame,
    texts: pd.DataFrame,
    name: str,
    as_numbers: _Predictions,
    as_texts: _Predictions,
) -> bool:
    """Return whether the pipeline knows the column's numbers, and none of its texts: they may be any.

    So it is with the keys of an encoder. Values are exchanged among the rows to see which of them make a difference.
    """
    other_numbers = numbers.assign(**{name: numbers[name].to_numpy()[::-1]})
    other_texts = texts.assign(**{name: texts[name].to_numpy()[::-1]})
    exchanged = _answers(inspection, _with_texts(other_numbers, other_texts, [name]))
    if exchanged is None or len(as_texts.differing_rows(exchanged)):
        return False
    exchanged = _answers(inspection, other_numbers)
    return exchanged is not None and len(as_numbers.differing_rows(exchanged)) > 0


def _sampled_rows(zeros: dict[str, NDArray[np.bool_]], rows: int) -> NDArray[np.int64]:
    """Return the places of the rows that are tried, ascending: spread over the table, some with leading zeros."""
    with_zeros = [np.flatnonzero(mask)[:_ROWS_OF_ZEROS] for mask in zeros.values()]
    preferred = np.unique(np.concatenate(with_zeros))[: _SAMPLED_ROWS // 2]
    spread = np.linspace(0, rows - 1, min(_SAMPLED_ROWS - len(preferred), rows)).astype(np.int64)
    return np.union1d(preferred, spread).astype(np.int64)


def _with_texts(numbers: pd.DataFrame, texts: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the frame with some columns as ``read_csv(dtype=str)`` reads them."""
    present = numbers[list(names)].notna()
    columns = {name: texts[name].where(present[name]).astype("str") for name in names}
    return numbers.assign(**columns)


def _answers(inspection: PipelineInspection, rows: pd.DataFrame) -> _Predictions | None:
    try:
        return _Predictions(*answers_to(inspection, rows))
    except (Exception, SystemExit):  # noqa: BLE001 - pipelines are others' code and may raise anything
        return None


def _close(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each row, shape (n,), whether the numbers agree to a millionth."""
    same = np.isclose(one.astype(np.float64), other.astype(np.float64), rtol=1e-6, atol=1e-6, equal_nan=True)
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _question(
    inspection: PipelineInspection,
    texts: pd.DataFrame,
    numbers: pd.DataFrame,
    name: str,
    place: int,
    as_numbers: _Predictions,
    as_texts: _Predictions,
) -> str:
    """Return the refusal that asks how a column was read."""
    text, number = texts[name].iloc[place], numbers[name].iloc[place]
    said = [_answer_shown(inspection, answers, place) for answers in (as_numbers, as_texts)]
    detail = (
        f"column {name!r} can be read as numbers and as texts, and the pipeline answers both, but differently: for row "
        f"{int(texts.index[place]) + 1} {said[0]} with {number} and {said[1]} with {text!r}"
    )
    return f"{detail}. Say which it was in training: --dtypes {name}=str or --dtypes {name}={numbers[name].dtype}"


def _answer_shown(inspection: PipelineInspection, answers: _Predictions, place: int) -> str:
    """Return a prediction as people read it, with its scores."""
    predicted = np.atleast_1d(answers.predicted[place])
    if inspection.target_classes:
        words = [classes[at] for classes, at in zip(inspection.target_classes, predicted, strict=True)]
    elif inspection.classes:
        words = [(inspection.class_names or inspection.classes)[at] for at in predicted]
    else:
        words = [f"{value:.6g}" for value in predicted]
    scores = ", ".join(f"{score:.6g}" for score in answers.scores[place][:3])
    return f"{', '.join(words)} ({scores})" if scores else ", ".join(words)
