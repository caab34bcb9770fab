"""Models of other scikit-learn versions: which load safely, and which silently predict something else.

scikit-learn does not support loading a model that another version has saved
(scikit-learn.org/stable/model_persistence.html#security-maintainability-limitations). What is listed here was measured:
some 160 estimators each of 1.2.2, 1.3.2, 1.4.2, 1.5.2, 1.6.1, 1.7.2 and 1.8.0 were fitted and saved by that version,
loaded by 1.9.1, and their predictions compared. Those of 1.8 were all the same. Most estimators that changed since 1.4
raise, for a new attribute (``SimpleImputer._fill_dtype``, ``MaxAbsScaler.clip``, ``SplineTransformer.handle_missing``),
and are found when the model is checked. The silent ones are listed, since a check against their own predictions cannot
find them.
"""

import re
from typing import Any

import sklearn

from model.errors import RefusedModel
from model.integrity import parts_of

Version = tuple[int, int]

OLDEST: Version = (1, 4)
"""Classification trees of older versions hold counts, newer ones fractions: silently other probabilities."""

SILENT: dict[str, tuple[Version, str]] = {
    "AdaBoostClassifier": ((1, 6), "its algorithm SAMME.R was removed in 1.6"),
    "PLSRegression": ((1, 5), "its intercept moved in 1.5"),
    "PLSCanonical": ((1, 5), "its intercept moved in 1.5"),
    "CCA": ((1, 5), "its intercept moved in 1.5"),
}
"""Estimators that predict something else: the first version whose models load unchanged, and what changed."""

MOVED = {"_loss": "sklearn._loss._loss"}
"""Modules that were renamed (boosting losses, up to 1.8), and their names now."""


def check_version(made_by: str, path: Any, trust_version: bool) -> None:
    """Raise RefusedModel where a model of this version cannot be added, or only with ``--trust-version``."""
    here, there = _version_of(sklearn.__version__), _version_of(made_by)
    if here == there:
        return
    made = f"{path} was made by scikit-learn {made_by}, not by the {sklearn.__version__} here"
    if there is None or there < OLDEST:
        raise RefusedModel(f"{made}, whose models predict something else here; train it again with this version")
    if not trust_version:
        raise RefusedModel(
            f"{made}; train it again, or add --trust-version, which accepts it if its predictions can be checked here; "
            f"only you can compare them with those of {made_by}"
        )


def check_silent_changes(pipeline: Any, made_by: str, path: Any) -> None:
    """Raise RefusedModel where a part of another version's pipeline is known to predict something else here."""
    there = _version_of(made_by)
    for part in parts_of(pipeline):
        since, why = SILENT.get(type(part).__name__, (None, ""))
        # A class of one's own may have the same name.
        if since is not None and (there is None or there < since) and type(part).__module__.startswith("sklearn."):
            name = type(part).__name__
            raise RefusedModel(
                f"{path} holds a {name} of scikit-learn {made_by}, which predicts otherwise here ({why}); "
                "train it again"
            )


def _version_of(text: str) -> Version | None:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None
