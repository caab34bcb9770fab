"""Bad files: does a file in which every row is rejected or has a stray quote cost more than a clean one?"""

from bench.bulk import job_run, settled, warm
from bench.data import BAD_ROWS, EVERY_FIELD_QUOTED, ODD_ROWS, REPAIRED, bad_file, census_file
from bench.options import Options
from bench.places import RUN
from bench.progress import say
from bench.spreads import Numbers, ratios, spread

_REPEATS = 3
_CLEAN = "clean"


class WrongCounts(Exception):
    """Raised when a file's rows were not rejected, scored or repaired as they have to be."""


def run(options: Options) -> Numbers:
    """Score the clean file and each of the bad ones in turn; ratios are to the clean one of the same round."""
    rows = options.standard
    kinds = [*BAD_ROWS, *ODD_ROWS, EVERY_FIELD_QUOTED]
    files = {_CLEAN: census_file(rows)} | {kind: bad_file(rows, kind) for kind in kinds}
    seconds: dict[str, list[float]] = {kind: [] for kind in files}
    with warm() as service:
        contest = settled(service, job_run(service, "job"))
        for turn in range(min(options.repeats, _REPEATS)):
            for kind, file in files.items():
                done = contest(file, RUN / "bad.out")
                _check_counts(kind, done["rows"], rows)
                seconds[kind].append(done["seconds"])
                say(f"bad input, round {turn + 1}: {rows:,} rows, {kind}: {done['seconds']:.2f} s")
    return {
        "rows": rows,
        "seconds": {kind: spread(values) for kind, values in seconds.items()},
        "ratios": {kind: ratios(seconds[kind], seconds[_CLEAN]) for kind in kinds},
    }


def _check_counts(kind: str, counts: Numbers, rows: int) -> None:
    rejected = rows if kind in BAD_ROWS else 0
    repaired = rows if kind == REPAIRED else 0
    if counts != {"total": rows, "scored": rows - rejected, "rejected": rejected, "warned": 0, "repaired": repaired}:
        raise WrongCounts(f"{kind}: {counts}")
