"""LitServe with batching: ``python app.py PORT``."""

import sys
from typing import Any

import litserve
import pandas as pd
from census import FEATURES, load_pipeline


class Income(litserve.LitAPI):
    """Scores the records of a batch in one call of the pipeline."""

    def setup(self, device: str) -> None:
        """Load the model, once in each worker."""
        self.pipeline = load_pipeline()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The record is the body."""
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> pd.DataFrame:
        """One frame of all records."""
        return pd.DataFrame(inputs, columns=FEATURES)

    def predict(self, x: pd.DataFrame) -> Any:
        """Probability of the positive class, shape (n,)."""
        return self.pipeline.predict_proba(x)[:, 1]

    def unbatch(self, output: Any) -> list[float]:
        """One number per record."""
        values: list[float] = output.tolist()
        return values

    def encode_response(self, output: float) -> dict[str, float]:
        """The answer's body."""
        return {"probability": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Income(max_batch_size=64, batch_timeout=0.002), accelerator="cpu", workers_per_device=2, fast_queue=True
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
