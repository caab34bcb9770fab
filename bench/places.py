"""Where the bench keeps its things. All but its report lies in ``.bench``, which may go at any time."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PEERS = BENCH / "peers"
WORK = ROOT / ".bench"
DATA = WORK / "data"
RUN = WORK / "run"
MODELS = WORK / "models"
RESULTS_JSON = BENCH / "results.json"
RESULTS_MD = BENCH / "RESULTS.md"
CHARTS = BENCH / "charts"
