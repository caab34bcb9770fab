"""Files of records of which it is known what each of them has to become."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import pandas as pd

from model.columns import column_of
from model.schema import FeatureKind, Value
from model.scorer import Scorer

_DISTINCT = 3000
_BAD_SHARE = 0.03
_LARGEST_DIFFERENCE = 1e-6


@dataclass(frozen=True, slots=True)
class Known:
    """A record, as values and as its part of a line, and its probability or the code of its fault."""

    values: Mapping[str, Value]
    text: str
    probability: float | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A file to be made: its name, which numbers its records, the seed of its choices, how many records."""

    name: str
    seed: int
    rows: int


@dataclass
class Found:
    """What became of the records of a file."""

    missing: int = 0
    repeated: int = 0
    moved: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        return not (self.missing or self.repeated or self.moved or self.wrong)


class Records:
    """Known records, and the files made of them."""

    def __init__(self, scorer: Scorer, seed: int) -> None:
        random, self._features = Random(seed), scorer.card.features
        values = [self._values(random) for _ in range(_DISTINCT)]
        frame = pd.DataFrame({f.name: column_of(f, [record[f.name] for record in values]) for f in self._features})
        # The pipeline itself, as scikit-learn has it, and none of the ways in which the service is quicker.
        positive = scorer.pipeline.predict_proba(frame)[:, scorer.card.classes.index(str(scorer.card.positive_class))]
        self.good = [
            Known(record, _text(record), probability) for record, probability in zip(values, positive, strict=True)
        ]
        self.bad = [
            Known({}, _text({**self.good[0].values, "age": 200}), code="out_of_range"),
            Known({}, _text({**self.good[1].values, "age": "old"}), code="not_a_number"),
            Known({}, _text({**self.good[2].values, "education": "Life"}), code="unknown_category"),
            Known({}, _text(self.good[3].values) + ",one too many", code="ragged"),
        ]

    def _values(self, random: Random) -> dict[str, Value]:
        return {
            feature.name: random.randint(int(feature.minimum or 0), int(feature.maximum or 0))
            if feature.kind is FeatureKind.NUMBER
            else random.choice(feature.categories)
            for feature in self._features
        }

    def of(self, plan: Plan) -> list[Known]:
        """The records of a file, in order."""
        random = Random(plan.seed)
        return [
            random.choice(self.bad if random.random() < _BAD_SHARE else self.good) for _ in range(plan.rows)
        ]  # fmt: skip

    def file(self, plan: Plan) -> bytes:
        """The file: each record begins with the name and its number."""
        lines = [",".join(["id", *(feature.name for feature in self._features)])]
        lines += [f"{plan.name}-{number},{known.text}" for number, known in enumerate(self.of(plan), 1)]
        return ("\n".join(lines) + "\n").encode()

    def rejected(self, plan: Plan) -> int:
        """How many of its records have a fault."""
        return sum(1 for known in self.of(plan) if known.code)

    def check(self, plan: Plan, results: bytes) -> Found:
        """Compare a file's results with what they have to be."""
        rows = list(csv.reader(io.StringIO(results.decode(), newline="")))[1:]
        expected = [f"{plan.name}-{number}" for number in range(1, plan.rows + 1)]
        ids = [row[0] for row in rows]
        if ids != expected:
            counts = Counter(ids)
            missing = sum(1 for name in expected if name not in counts)
            repeated = sum(counts.values()) - len(counts)
            return Found(missing, repeated, int(sorted(ids) == sorted(expected)), [])
        pairs = zip(rows, self.of(plan), strict=True)
        return Found(wrong=[row[0] for row, known in pairs if not _is_right(row[-3:], known)])


def is_near(probability: float, known: Known) -> bool:
    """Whether a probability with 6 decimals is the record's."""
    return known.probability is not None and abs(probability - known.probability) <= _LARGEST_DIFFERENCE


def _is_right(answer: list[str], known: Known) -> bool:
    _, probability, error = answer
    if known.code:
        return not probability and error.startswith(known.code)
    return not error and bool(probability) and is_near(float(probability), known)


def _text(record: Mapping[str, Value]) -> str:
    return ",".join(str(value) for value in record.values())
