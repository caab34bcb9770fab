"""Models of other scikit-learn versions: which load safely, and which answer otherwise without a word.

scikit-learn promises nothing for a model that another version has saved
(scikit-learn.org/stable/model_persistence.html#security-maintainability-limitations). What stands here was measured:
some 160 estimators each of 1.2.2, 1.3.2, 1.4.2, 1.5.2, 1.6.1, 1.7.2 and 1.8.0 were fitted and saved by that version,
loaded by 1.9.1, and their answers compared. Of 1.8 all answered the same. Most that changed since 1.4 raise, for an
attribute that is new (``SimpleImputer._fill_dtype``, ``MaxAbsScaler.clip``, ``SplineTransformer.handle_missing``), and are
found out when the model is checked. The silent ones are named here, since a check against their own answers cannot find
them.
"""

import re
from typing import Any

import sklearn

from model.errors import RefusedModel
from model.integrity import parts_of

Version = tuple[int, int]

OLDEST: Version = (1, 4)
"""Classification trees of older versions hold counts where newer ones hold fractions: other probabilities, silently."""

SILENT: dict[str, tuple[Version, str]] = {
    "AdaBoostClassifier": ((1, 6), "its algorithm SAMME.R was removed in 1.6"),
    "PLSRegression": ((1, 5), "its intercept moved in 1.5"),
    "PLSCanonical": ((1, 5), "its intercept moved in 1.5"),
    "CCA": ((1, 5), "its intercept moved in 1.5"),
}
"""Estimators that answer otherwise: the first version whose models answer as they did, and what changed."""

MOVED = {"_loss": "sklearn._loss._loss"}
"""Modules whose name changed since (the losses of boosting, up to 1.8), and where they are now."""


def check_version(made_by: str, path: Any, trust_version: bool) -> None:
    """Raise RefusedModel where a model of this version cannot be taken, or only with ``--trust-version``."""
    here, there = _version_of(sklearn.__version__), _version_of(made_by)
    if here == there:
        return
    made = f"{path} was made by scikit-learn {made_by}, not by the {sklearn.__version__} here"
    if there is None or there < OLDEST:
        raise RefusedModel(f"{made}, whose models answer otherwise; train it again with the version here")
    if not trust_version:
        raise RefusedModel(
            f"{made}; train it again, or add --trust-version, which takes it if its predictions can be checked here; "
            f"whether {made_by} predicted the same, only you can compare"
        )


def check_silent_changes(pipeline: Any, made_by: str, path: Any) -> None:
    """Raise RefusedModel where a part of a pipeline of another version is known to answer otherwise here."""
    there = _version_of(made_by)
    for part in parts_of(pipeline):
        since, why = SILENT.get(type(part).__name__, (None, ""))
        if since is not None and (there is None or there < since) and type(part).__module__.startswith("sklearn."):
            name = type(part).__name__
            raise RefusedModel(
                f"{path} holds a {name} of scikit-learn {made_by}, which answers otherwise here ({why}); train it again"
            )


def _version_of(text: str) -> Version | None:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
