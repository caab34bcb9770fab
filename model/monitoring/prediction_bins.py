"""The bins in which the predictions of a job are counted: by workers, in the summary and on pages. Pure."""

PREDICTION_BINS = 20
"""Bins of equal width: of probabilities between 0 and 1, of a regressor's predictions between its card's edges."""
PROBABILITY_EDGES = tuple(round(index / PREDICTION_BINS, 2) for index in range(PREDICTION_BINS + 1))
