"""Names of the counts in a job's summary. Workers count chunk by chunk and the store adds up; the web reads the sums.

Counts about drift are named by ``drift.count_name``, those about agreement in ``agreement``.
"""

PROBABILITY_BINS = 20
"""Equal bins of 0..1 in which probabilities are counted."""

PREDICTION, PROBABILITY, VALUE, FAULT, WARNING = "prediction", "probability", "value", "fault", "warning"
"""Kinds of counts: ``prediction:<class>``, ``probability:<bin>``, ``value:<bin>`` (regressors),
``fault:<code>:<column>`` and ``warning:<code>:<column>``; the column is empty for faults of whole records."""

SECOND_MODEL = "second:"
"""Prefix of the counts of the second of two models."""

REPAIRED = "repaired"
"""Kind of the counts ``repaired:<row>``, one for each of the first repaired rows of a chunk and of a job."""
