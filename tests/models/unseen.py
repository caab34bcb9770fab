"""Rows unlike the training data: missing values, new categories, numbers out of range or not whole."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype, is_string_dtype

from tests.models.answers import ExpectedPredictions
from tests.models.case import TrainedModel

MAX_COLUMNS = 8
SOME = 100
NEW_CATEGORY = "Zz-new"
SPELLINGS = ("respelt", "after a space")
NEW_DATE = "2031-05-17"


@dataclass(frozen=True)
class UnseenRows:
    """A file of unseen values, how its owner reads it, and the pipeline's predictions."""

    path: Path
    frame: pd.DataFrame
    what: list[str]
    answers: list[ExpectedPredictions]


def unseen_rows(trained: TrainedModel) -> UnseenRows | None:
    """Rows of the user's table, each with one cell changed; None where the table cannot be changed by text."""
    options = dict(trained.table.options)
    style = {"sep": options.get("sep", ","), "encoding": options.get("encoding", "utf-8-sig")}
    cells = pd.read_csv(trained.upload, dtype=str, keep_default_na=False, **style)
    plain = trained.table.features(trained.upload)
    path = trained.folder / "unseen.csv"
    rows, what, answers = [], [], []
    for name in [name for name in plain.columns if name in cells.columns][:MAX_COLUMNS]:
        for label, text in _changes(plain[name]):
            row = cells.iloc[len(rows) % len(cells)].copy()
            row[name] = text
            # Rows of the table come first, so that pandas reads the columns as in training.
            pd.concat([cells.head(SOME), row.to_frame().T]).to_csv(path, index=False, **style)
            answer = trained.answers(trained.table.inputs(path)[-1:])
            if label in SPELLINGS and not answer.answered.any():
                continue  # what the pipeline raises on may be read as the category that it is a spelling of
            rows.append(row)
            what.append(f"{name} {label}")
            answers.append(answer)
    if not rows:
        return None
    pd.DataFrame(rows).to_csv(path, index=False, **style)
    return UnseenRows(path, trained.table.features(path), what, answers)


def _changes(column: pd.Series) -> list[tuple[str, str]]:
    if is_bool_dtype(column):
        return []
    if is_numeric_dtype(column):
        whole = is_integer_dtype(column)
        far = float(np.nanmax(np.abs(column.to_numpy(float, na_value=np.nan)))) * 3 + 100
        changes = [("beyond the range", f"{int(far)}" if whole else f"{far:.3f}"), ("missing", "")]
        return (
            [*changes, ("between two whole numbers", f"{float(np.nanmedian(column)) + 0.5:.1f}")] if whole else changes
        )
    if is_string_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        if _are_dates(column):
            return [("new", NEW_DATE), ("missing", "")]
        known = str(column.dropna().iloc[0])
        return [("new", NEW_CATEGORY), ("missing", ""), *zip(SPELLINGS, (known.swapcase(), f" {known}"), strict=True)]
    return []


def _are_dates(column: pd.Series) -> bool:
    return bool(column.astype(str).str.fullmatch(r"\d{4}-\d\d-\d\d").all())
