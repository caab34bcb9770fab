"""MLServer's runtime for the model: the V2 protocol's inputs are the columns of a frame."""

from census import load_pipeline
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Income(MLModel):
    """Scores the records of a request; MLServer gathers those that come at about the same time into one."""

    async def load(self) -> bool:
        """Load the model, once in each worker."""
        self.pipeline = load_pipeline()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probability of the positive class of each record."""
        frame = PandasCodec.decode_request(payload)
        values = self.pipeline.predict_proba(frame)[:, 1]
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probability", values.reshape(-1, 1))]
        )
