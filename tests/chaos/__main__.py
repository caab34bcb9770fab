"""``make chaos``: kills, freezes and starves a running service for a while, and reports what was lost."""

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from model.catalog import Catalog
from model.census.train import ensure_trained
from model.scorer import Scorer
from tests.chaos import report
from tests.chaos.run import Options, Run


def main() -> int:
    """Run; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="decides what happens when")
    parser.add_argument("--kills", type=int, default=200, help="how many processes are killed (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows uploaded meanwhile (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3600, help="ends it early (default: %(default)s)")
    parser.add_argument("--longest", type=float, default=30, help="longest time that a fault lasts, in seconds")
    parser.add_argument("--report", type=Path, default=Path("var/chaos.md"), help="where the report goes")
    parser.add_argument("--keep", type=Path, help="folder for the logs and data, kept afterwards")
    arguments = parser.parse_args()
    # Either way everything that was started is ended, too; a shell's background jobs ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ensure_trained(folder / "models")
        options = Options(
            arguments.seed,
            arguments.kills,
            arguments.rows,
            arguments.seconds,
            arguments.longest,
            # A prediction that was promised can still be fetched when the clock has been set an hour on.
            {"SCORELINE_PREDICTION_RETENTION_SECONDS": "7200"},
            say=lambda line: print(line, flush=True),
        )
        scorer = Scorer.load(Catalog(folder / "models", "income"))
        outcome = Run(options, folder, folder / "models", scorer).go()
    report.write(outcome, arguments.report)
    print(report.markdown(report.figures(outcome)), flush=True)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
