"""Bad files: does a file in which every row is rejected or has a stray quote cost more than a clean one?"""

import json
import subprocess
import sys

from bench.bulk import job_run, settled, warm
from bench.data import (
    BAD_ROWS,
    EVERY_FIELD_QUOTED,
    MIXED_ROWS,
    ODD_ROWS,
    QUOTED_BAD_ROWS,
    QUOTED_REPAIRED_ROWS,
    REPAIRED_ROWS,
    bad_file,
    census_file,
    counts_of,
)
from bench.memory import processor_seconds
from bench.options import Options
from bench.places import ROOT, RUN
from bench.progress import say
from bench.servers import ONE_THREAD, peer_variables
from bench.spreads import Numbers, ratios, spread

_REPEATS = 3
_CLEAN = "clean"
# Rows, at most, of the files that are cut and scored in one process.
_IN_PROCESS_ROWS = 100_000
_MAX_SECONDS = 900.0


class WrongCounts(Exception):
    """Raised when a file's rows were not rejected, scored or repaired as they have to be."""


def run(options: Options) -> Numbers:
    """Score the clean files and each of the bad ones in turn; ratios are to the clean one of the same round.

    That is the file in which every field is quoted, for the files in which they are and a quote is missing as well.
    """
    rows = options.standard
    quoted = [*QUOTED_BAD_ROWS, *QUOTED_REPAIRED_ROWS]
    against = dict.fromkeys([*BAD_ROWS, *ODD_ROWS, *REPAIRED_ROWS, *MIXED_ROWS, EVERY_FIELD_QUOTED], _CLEAN)
    against |= {
        kind: EVERY_FIELD_QUOTED for kind in (*quoted, *MIXED_ROWS) if kind.startswith(f"{EVERY_FIELD_QUOTED},")
    }
    kinds = list(against)
    files = {_CLEAN: census_file(rows)} | {kind: bad_file(rows, kind) for kind in kinds}
    seconds: dict[str, list[float]] = {kind: [] for kind in files}
    processor: dict[str, list[float]] = {kind: [] for kind in files}
    with warm() as service:
        contest = settled(service, job_run(service, "job"))
        for turn in range(min(options.repeats, _REPEATS)):
            for kind, file in files.items():
                used = sum(processor_seconds(service).values())
                done = contest(file, RUN / "bad.out")
                processor[kind].append(sum(processor_seconds(service).values()) - used)
                _check_counts(kind, done["rows"], rows)
                seconds[kind].append(done["seconds"])
                say(f"bad input, round {turn + 1}: {rows:,} rows, {kind}: {done['seconds']:.2f} s")
    alone = _in_one_process(min(rows, _IN_PROCESS_ROWS), list(files))
    return {
        "rows": rows,
        "seconds": {kind: spread(values) for kind, values in seconds.items()},
        "against": against,
        "ratios": {kind: ratios(seconds[kind], seconds[against[kind]]) for kind in kinds},
        "processor_ratios": {kind: ratios(processor[kind], processor[against[kind]]) for kind in kinds},
        "in_process_ratios": {kind: ratios(alone[kind], alone[against[kind]]) for kind in kinds},
    }


def _in_one_process(rows: int, kinds: list[str]) -> dict[str, list[float]]:
    """Processor seconds of cutting and scoring each file in turn, without network, Redis and Celery."""
    files = {kind: census_file(rows) if kind == _CLEAN else bad_file(rows, kind) for kind in kinds}
    command = [sys.executable, "-m", "bench.one_process", str(_REPEATS), *map(str, files.values())]
    done = subprocess.run(
        command, cwd=ROOT, env=peer_variables(**ONE_THREAD), capture_output=True, timeout=_MAX_SECONDS, check=True
    )
    seconds: list[list[float]] = json.loads(done.stdout)
    for kind, taken in zip(kinds, seconds, strict=True):
        say(f"bad input, cut and scored in one process: {rows:,} rows, {kind}: {min(taken):.3f} s of processor time")
    return dict(zip(kinds, seconds, strict=True))


def _check_counts(kind: str, counts: Numbers, rows: int) -> None:
    wanted = counts_of(rows, kind)
    scored = rows - wanted["rejected"]
    if counts != {"total": rows, "scored": scored, "warned": 0, **wanted}:
        raise WrongCounts(f"{kind}: {counts}")
