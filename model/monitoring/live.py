"""Whether a model's figures on actual outcomes fall short of those on held-out records. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.card import Card

LEAST_OUTCOMES = 30
"""With fewer outcomes in a week, nothing is compared."""


@dataclass(frozen=True, slots=True)
class LiveMetric:
    """A metric in the newest week that has enough outcomes, beside that on held-out records.

    ``falls_short``: the interval of the live one ends before that of the held-out one begins.
    """

    model: str
    version: str
    metric: str
    live: float
    held_out: float
    falls_short: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it for the web, as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def compare(card: Card, measured: Mapping[str, Any]) -> list[LiveMetric]:
    """Return the metrics that both the figures of a week and the card have.

    Each of the ``measured`` figures is ``{"value": …, "interval": [low, high] or None}``.
    """
    found = []
    for name, higher_is_better in (("accuracy", True), ("roc_auc", True), ("mae", False)):
        held_out = getattr(card.metrics, name, None)
        if held_out is None or name not in measured:
            continue
        live, bounds = measured[name]["value"], measured[name]["interval"] or [measured[name]["value"]] * 2
        low, high = card.metrics.intervals.get(name, (held_out, held_out)) if card.metrics else (held_out, held_out)
        short = bounds[1] < low if higher_is_better else bounds[0] > high
        found.append(LiveMetric(card.name, card.version, name, live, held_out, bool(short)))
    return found
