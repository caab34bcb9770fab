"""Other formats: Parquet in and out against CSV, and Excel in and out against pandas."""

from pathlib import Path

from bench.bulk import job_run, settled, warm
from bench.data import FORMATS, table_file
from bench.memory import all_processor_seconds
from bench.options import SHEET_ROWS, Options
from bench.places import RUN
from bench.plain import run_plain
from bench.progress import say
from bench.spreads import Numbers, ratios, spread

TITLES = {
    "scoreline": "Scoreline",
    "calamine": "pandas, `read_excel(engine='calamine')`",
    "pandas": "pandas, `read_excel`",
}
_REPEATS = 3
_WARM_ROWS = 2000


class WrongCounts(Exception):
    """Raised when not all rows of a file were scored."""


def run(options: Options) -> Numbers:
    """Score the same rows in each format by turns; ratios are to CSV, and to pandas, of the same round."""
    rows, sheet_rows = options.standard, min(SHEET_ROWS, options.standard)
    with warm() as service:
        contest = settled(service, job_run(service, "job"))

        def score(file: Path, count: int) -> float:
            done = contest(file, RUN / f"formats.out{file.suffix}")
            if done["rows"]["scored"] != count:
                raise WrongCounts(f"{file.name}: {done['rows']}")
            return float(done["seconds"])

        for kind in FORMATS:  # so that what reads and writes them is loaded, as what scores CSV is
            score(table_file(_WARM_ROWS, kind), _WARM_ROWS)
        tables: dict[str, list[float]] = {kind: [] for kind in ("csv", *FORMATS) if kind != "xlsx"}
        work: dict[str, list[float]] = {kind: [] for kind in tables}
        for turn in range(min(options.repeats, _REPEATS)):
            for kind, seconds in tables.items():
                file, used = table_file(rows, kind), all_processor_seconds(service)
                seconds.append(score(file, rows))
                work[kind].append(all_processor_seconds(service) - used)
                spent = f"{seconds[-1]:.2f} s, {work[kind][-1]:.2f} processor seconds"
                say(f"formats, round {turn + 1}: {rows:,} rows, {kind}: {spent}")
        workbook = table_file(sheet_rows, "xlsx")
        sheets = {"scoreline": score(workbook, sheet_rows)}
    for name, engine in (("calamine", ("calamine",)), ("pandas", ())):
        sheets[name] = run_plain(workbook, RUN / "pandas.out.xlsx", *engine)["seconds"]
    for name, taken in sheets.items():
        say(f"formats: {sheet_rows:,} rows of Excel, {TITLES[name]}: {taken:.1f} s")
    return {
        "rows": rows,
        "bytes": {kind: table_file(rows, kind).stat().st_size for kind in tables},
        "seconds": {kind: spread(values) for kind, values in tables.items()},
        "processor_seconds": {kind: spread(values) for kind, values in work.items()},
        "ratios": {kind: ratios(values, tables["csv"]) for kind, values in tables.items() if kind != "csv"},
        "sheet_rows": sheet_rows,
        "sheet_bytes": workbook.stat().st_size,
        "sheets": sheets,
        "sheet_ratios": {name: taken / sheets["scoreline"] for name, taken in sheets.items() if name != "scoreline"},
    }
