"""The plain script: read the file, predict, write the file; prints its times.

``python script.py SOURCE TARGET [ENGINE]``: CSV, or Excel, which the engine reads.
"""

import time

STARTED = time.perf_counter()

import json  # noqa: E402 - the time of loading what it needs is part of what is measured
import sys  # noqa: E402

import pandas as pd  # noqa: E402
from census import load_pipeline  # noqa: E402

source, target, *engine = sys.argv[1:]
pipeline = load_pipeline()
loaded = time.perf_counter()
if source.endswith(".xlsx"):
    frame = pd.read_excel(source, engine=engine[0] if engine else None)
else:
    frame = pd.read_csv(source, skipinitialspace=True)
read = time.perf_counter()
probabilities = pipeline.predict_proba(frame.rename(columns=lambda name: name.replace("-", "_")))[:, 1]
predicted = time.perf_counter()
frame["prediction"] = pipeline.classes_[(probabilities >= 0.5).astype(int)]
frame["probability"] = probabilities.round(6)
if target.endswith(".xlsx"):
    frame.to_excel(target, index=False)
else:
    frame.to_csv(target, index=False)
written = time.perf_counter()
times = {"load": loaded - STARTED, "read": read - loaded, "predict": predicted - read, "write": written - predicted}
print(json.dumps(times))
