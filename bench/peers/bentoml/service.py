"""BentoML with adaptive batching: ``bentoml serve service:Income``."""

import bentoml
import pandas as pd
from census import load_pipeline
from pydantic import BaseModel


class Record(BaseModel):
    """One person."""

    age: int
    workclass: str
    education: str
    marital_status: str
    race: str
    sex: str
    hours_per_week: int


@bentoml.service(workers=2, traffic={"timeout": 60})
class Income:
    """Scores the records that come at about the same time in one call of the pipeline."""

    def __init__(self) -> None:
        self.pipeline = load_pipeline()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, records: list[Record]) -> list[float]:
        """Probability of the positive class of each record."""
        frame = pd.DataFrame([record.model_dump() for record in records])
        values: list[float] = self.pipeline.predict_proba(frame)[:, 1].tolist()
        return values
