"""Bad files: does a file in which every row is rejected or has a stray quote cost more than a clean one?"""

from bench.bulk import job_run, settled, warm
from bench.data import (
    BAD_ROWS,
    EVERY_FIELD_QUOTED,
    ODD_ROWS,
    QUOTED_BAD_ROWS,
    QUOTED_REPAIRED_ROWS,
    REPAIRED_ROWS,
    bad_file,
    census_file,
)
from bench.memory import processor_seconds
from bench.options import Options
from bench.places import RUN
from bench.progress import say
from bench.spreads import Numbers, ratios, spread

_REPEATS = 3
_CLEAN = "clean"


class WrongCounts(Exception):
    """Raised when a file's rows were not rejected, scored or repaired as they have to be."""


def run(options: Options) -> Numbers:
    """Score the clean files and each of the bad ones in turn; ratios are to the clean one of the same round.

    That is the file in which every field is quoted, for the files in which they are and a quote is missing as well.
    """
    rows = options.standard
    quoted = [*QUOTED_BAD_ROWS, *QUOTED_REPAIRED_ROWS]
    against = dict.fromkeys([*BAD_ROWS, *ODD_ROWS, *REPAIRED_ROWS, EVERY_FIELD_QUOTED], _CLEAN)
    against |= dict.fromkeys(quoted, EVERY_FIELD_QUOTED)
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
    return {
        "rows": rows,
        "seconds": {kind: spread(values) for kind, values in seconds.items()},
        "against": against,
        "ratios": {kind: ratios(seconds[kind], seconds[against[kind]]) for kind in kinds},
        "processor_ratios": {kind: ratios(processor[kind], processor[against[kind]]) for kind in kinds},
    }


def _check_counts(kind: str, counts: Numbers, rows: int) -> None:
    rejected = rows if kind in BAD_ROWS | QUOTED_BAD_ROWS else 0
    repaired = rows if kind in REPAIRED_ROWS | QUOTED_REPAIRED_ROWS else 0
    if counts != {"total": rows, "scored": rows - rejected, "rejected": rejected, "warned": 0, "repaired": repaired}:
        raise WrongCounts(f"{kind}: {counts}")
