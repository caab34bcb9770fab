"""Explain linear models: a column's effect is its coefficient times its value.

Relative to the average training record, these are the model's SHAP values where columns are taken as independent
(S. Lundberg & S. Lee 2017, 'A Unified Approach to Interpreting Model Predictions', arXiv:1705.07874, corollary 1).
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, issparse
from sklearn import discriminant_analysis, linear_model, naive_bayes, svm
from sklearn.base import is_classifier

from model.columns import Floats
from model.explanation.column_lineage import Lineage
from model.explanation.explanation import Attribution, NotExplainable, Unit

CLASSIFIERS = (
    discriminant_analysis.LinearDiscriminantAnalysis,
    linear_model.LogisticRegression,
    linear_model.LogisticRegressionCV,
    linear_model.PassiveAggressiveClassifier,
    linear_model.Perceptron,
    linear_model.RidgeClassifier,
    linear_model.RidgeClassifierCV,
    linear_model.SGDClassifier,
    naive_bayes.MultinomialNB,
    svm.LinearSVC,
    svm.SVC,
)
GENERALISED = (linear_model.PoissonRegressor, linear_model.GammaRegressor, linear_model.TweedieRegressor)
REGRESSORS = (
    linear_model.ARDRegression,
    linear_model.BayesianRidge,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.Lars,
    linear_model.LarsCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.LassoLars,
    linear_model.LassoLarsCV,
    linear_model.LassoLarsIC,
    linear_model.LinearRegression,
    linear_model.OrthogonalMatchingPursuit,
    linear_model.OrthogonalMatchingPursuitCV,
    linear_model.PassiveAggressiveRegressor,
    linear_model.QuantileRegressor,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.SGDRegressor,
    linear_model.TheilSenRegressor,
    svm.LinearSVR,
    svm.SVR,
)
MODELS = CLASSIFIERS + GENERALISED + REGRESSORS
# Classifiers whose binary decision is the log-odds; SGDClassifier's is with the log loss.
_LOG_ODDS = (
    discriminant_analysis.LinearDiscriminantAnalysis,
    linear_model.LogisticRegression,
    linear_model.LogisticRegressionCV,
    naive_bayes.MultinomialNB,
)


class LinearModel:
    """Attribute the output of a fitted linear model to features, exactly."""

    method = "the exact effects of a linear model"
    libraries: frozenset[str] = frozenset()
    is_centred = False
    is_linear = True

    def __init__(self, model: Any, columns: Lineage) -> None:
        """Take the coefficients of a model of ``MODELS``; raise NotExplainable where its columns cannot be traced."""
        coefficients, intercepts = _coefficients(model)
        self._model = model
        self._outputs = len(coefficients)
        self._features = columns.features
        # One matrix that multiplies columns by coefficients and sums them by feature: a column's row has its
        # coefficient for each output at (feature, output), flattened.
        rows, outputs = np.indices(coefficients.T.shape)
        sums = columns.sums  # raises where a column does not come from a feature
        places = np.array(columns.origins, np.int64)[:, np.newaxis] * self._outputs + outputs
        entries = (coefficients.T.reshape(-1), (rows.reshape(-1), places.reshape(-1)))
        self._weights = csc_array(entries, shape=(sums.shape[0], self._features * self._outputs))
        self._baselines = intercepts
        self.unit = _unit(model, self._outputs)

    @property
    def cells(self) -> int:
        """The effects, or the dense columns where there are more of these."""
        return max(*map(int, self._weights.shape))

    def attribute(self, inputs: Any) -> Attribution:
        """Return the effects of the features, relative to columns of zeros."""
        effects = _matrix(inputs) @ self._weights
        dense = effects.toarray() if issparse(effects) else np.asarray(effects)
        return Attribution(dense.reshape(len(dense), self._features, self._outputs), self._baselines)

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return the decision or prediction, or its logarithm with a log link."""
        if isinstance(self._model, naive_bayes.MultinomialNB):
            joint = self._model.predict_joint_log_proba(inputs)
            return joint if self._outputs > 1 else np.asarray(joint[:, 1:] - joint[:, :1])
        raw_output = self._model.decision_function if is_classifier(self._model) else self._model.predict
        output = np.asarray(raw_output(inputs), dtype=np.float64).reshape(-1, self._outputs)
        return np.log(output) if self.unit is Unit.LOG_TARGET else output


def _coefficients(model: Any) -> tuple[Floats, Floats]:
    """Return coefficients, shape (outputs, columns), and intercepts, shape (outputs,)."""
    if isinstance(model, naive_bayes.MultinomialNB):
        likelihoods, priors = model.feature_log_prob_, model.class_log_prior_
        if len(likelihoods) > 2:
            return likelihoods, priors
        # As log-odds of the second class, like the decision of other binary classifiers.
        return likelihoods[1:] - likelihoods[:1], priors[1:] - priors[:1]
    if getattr(model, "kernel", "linear") != "linear":
        raise NotExplainable(f"this {type(model).__name__} is not linear")
    dense = model.coef_.toarray() if issparse(model.coef_) else model.coef_
    coefficients = np.atleast_2d(np.asarray(dense, dtype=np.float64))
    intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(coefficients))
    if not is_classifier(model):
        if len(coefficients) > 1:
            raise NotExplainable(f"this {type(model).__name__} has several targets")
    # SVC, for one, has coefficients for pairs of classes.
    elif len(coefficients) != (1 if len(model.classes_) == 2 else len(model.classes_)):
        raise NotExplainable(f"this {type(model).__name__} has other outputs than its classes")
    return coefficients, intercepts


def _unit(model: Any, outputs: int) -> Unit:
    if isinstance(model, GENERALISED):
        link = getattr(model, "link", "log")
        # As scikit-learn chooses the link.
        is_log = model.power > 0 if link == "auto" else link == "log"
        return Unit.LOG_TARGET if is_log else Unit.TARGET
    if not is_classifier(model):
        return Unit.TARGET
    by_odds = isinstance(model, _LOG_ODDS) or getattr(model, "loss", None) == "log_loss"
    return Unit.LOG_ODDS if by_odds and outputs == 1 else Unit.SCORE


def _matrix(inputs: Any) -> Any:
    if issparse(inputs):
        return inputs
    return np.asarray(inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs, dtype=np.float64)
