"""The usual tutorial: a Flask view that makes a frame of the record and asks the pipeline, in the same process."""

import pandas as pd
from census import FEATURES, load_pipeline
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
pipeline = load_pipeline()


@app.post("/predict")
def predict() -> Response:
    """Answer the probability of one record."""
    frame = pd.DataFrame([request.get_json()], columns=FEATURES)
    return jsonify({"probability": float(pipeline.predict_proba(frame)[0, 1])})


@app.get("/healthz")
def healthz() -> str:
    """Tell that the process lives."""
    return "ok"
