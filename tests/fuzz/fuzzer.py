"""Fuzzes one target with atheris: ``python -m tests.fuzz.fuzzer TARGET MODELS [libFuzzer's options] CORPUS…``."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["jobs", "model", "web.uploads.bodies", "web.uploads.upload", "web.api.predictions", "worker"]
):
    from model.catalog import Catalog
    from model.scorer import Scorer
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process: with 0 when all runs are done, else when a run has failed or hung."""
    target, scorer = TARGETS[sys.argv[1]], Scorer.load(Catalog(Path(sys.argv[2]), "income"))
    atheris.Setup([sys.argv[0], *sys.argv[3:]], lambda data: target(data, scorer))
    atheris.Fuzz()


main()
