"""Writes ``RESULTS.md`` and the charts from the numbers."""

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.budgets import Data, budgets, shown
from bench.environments import CannotInstall, clean_variables, python_of
from bench.formats import TITLES as SHEET_TITLES
from bench.places import BENCH, CHARTS, RESULTS_JSON, RESULTS_MD
from bench.progress import say
from bench.store import Section

_CHART_SECONDS = 120.0
_NOTES = BENCH / "notes.md"
_MIB = 2**20
_MESSAGE_LETTERS = 400
_FOLDERS = re.compile(r"(?<![\w/])/(?:[^/\s'\"]+/)+")
_ADDRESS = re.compile(r"\w+://\S+")


def write(sections: Mapping[str, Section]) -> None:
    """Write the report of all sections, and the charts if their library can be installed."""
    drawn = _draw()
    RESULTS_MD.write_text("\n".join(_document(sections, drawn)).rstrip("\n") + "\n")
    say("the report is written")


def _draw() -> list[str]:
    """Draw the charts in an environment of their own; the names of those there are."""
    try:
        command = [python_of("charts"), "-P", str(BENCH / "charts.py"), str(RESULTS_JSON), str(CHARTS)]
        done = subprocess.run(
            command, env=clean_variables(), capture_output=True, text=True, timeout=_CHART_SECONDS, check=False
        )
        if done.returncode:
            say(f"the charts could not be drawn: {done.stderr[-500:].strip()}")
    except (CannotInstall, subprocess.TimeoutExpired) as error:
        say(f"the charts could not be drawn: {error}")
    return sorted(path.name for path in CHARTS.glob("*.svg"))


def _document(sections: Mapping[str, Section], drawn: Sequence[str]) -> Iterator[str]:
    data = {name: section["data"] for name, section in sections.items() if section["data"]}
    yield from ("# Measurements", "", "Written by `make bench`; `python -m bench --report` writes it again. Times are")
    yield from ("medians, with the least and the most in brackets; ratios are of the same round.", "")
    if sections:
        yield from _circumstances(max(sections.values(), key=lambda section: str(section["date"])))
    yield from ("## Budgets", "")
    rows = [(one.what, one.limit, one.measured, one.verdict) for one in budgets(data)]
    yield from _table(("what", "budget", "measured", "verdict"), rows)
    if _NOTES.exists():
        yield from (_NOTES.read_text().strip(), "")
    for name, (title, write_section) in _SECTIONS.items():
        if name in sections:
            yield from _section(title, sections[name], write_section)
            yield from _pictures(name, drawn)


def _circumstances(section: Section) -> Iterator[str]:
    machine = section["machine"]
    yield "## Machine and versions"
    yield ""
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['kernel']}, Python {machine['python']}. Everything, the clients too, ran on it."
    )
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in section["versions"].items()) + "."
    yield ""


def _section(title: str, section: Section, write_section: Callable[[Data], Iterator[str]]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    load, revision = section["load_average"], section["versions"]["Scoreline"]
    yield f"Measured {section['date']}, Scoreline {revision}; the machine's load before was {load:.1f}."
    yield ""
    if section["error"]:
        yield f"**This section failed:** {_plain(section['error'])}"
        yield ""
        return
    yield from write_section(section["data"])
    for kind in ("failures", "skipped"):
        for name, reason in section["data"].get(kind, {}).items():
            yield f"- {'Not measured' if kind == 'skipped' else '**Failed**'}: {name}: {_plain(reason)}"
    yield ""


def _bulk(bulk: Data) -> Iterator[str]:
    yield "From the first byte read or sent to the last byte of the results on disk. The plain script is a fresh"
    yield "process: `read_csv`, `predict_proba`, `to_csv`; *work* is that without loading libraries and model. MLflow's"
    yield "server gets the file in one request and answers JSON with the probabilities only. Scoreline is asked over"
    yield "HTTP for the whole scored file."
    yield ""
    for rows, size in bulk["sizes"].items():
        yield f"### {int(rows):,} rows, {size['bytes'] / 1e6:,.1f} MB"
        yield ""
        lines = [
            (
                bulk["titles"][name],
                shown(seconds, 2, " s"),
                f"{int(rows) / seconds['median']:,.0f}",
                *(_ratio(size["ratios"].get(name), key) for key in ("seconds", "work")),
                ", ".join(f"{part} {spent:.2f}" for part, spent in size["parts"][name].items() if spent),
            )
            for name, seconds in size["seconds"].items()
        ]
        yield from _table(
            ("", "time", "rows/s", "x plain, whole", "x plain, work", "parts, seconds"), lines, right=(1, 2, 3, 4)
        )
    for what, sentence in bulk["checks"].items():
        name, _, rows = what.partition(", ")
        yield f"- Results compared with the plain script's ({bulk['titles'][name]}, {int(rows):,} rows): {sentence}."


def _ratio(ratios: Data | None, key: str) -> str:
    return shown(ratios[key], 3) if ratios else ""


def _bad_input(bad: Data) -> Iterator[str]:
    yield f"{bad['rows']:,} rows, every one of them with the same fault, uploaded and its results downloaded. Ratios"
    yield "are to the same file without the fault; if every field of it is quoted, to the one in which that is all."
    yield "Processor time is that of all of the service's processes; in the last column, that of cutting and scoring"
    yield "alone, in one process, without network, Redis and Celery."
    yield ""
    columns = (bad["ratios"], bad.get("processor_ratios", {}), bad.get("in_process_ratios", {}))
    lines = [
        (
            kind,
            shown(seconds, 2, " s"),
            *(shown(all_[kind]) if kind in all_ else "" for all_ in columns),
        )
        for kind, seconds in bad["seconds"].items()
    ]
    names = ("every row with", "time", "x clean", "x clean, processor time", "x clean, cutting and scoring")
    yield from _table(names, lines, right=(1, 2, 3, 4))


def _formats(formats: Data) -> Iterator[str]:
    yield f"{formats['rows']:,} rows, uploaded, scored and downloaded, in and out in the same format."
    yield ""
    work = formats.get("processor_seconds", {})
    lines = [
        (
            kind,
            f"{formats['bytes'][kind] / 1e6:,.1f} MB",
            shown(seconds, 2, " s"),
            shown(formats["ratios"][kind]) if kind in formats["ratios"] else "",
            shown(work[kind], 2, " s") if kind in work else "",
        )
        for kind, seconds in formats["seconds"].items()
    ]
    yield from _table(("format", "file", "time", "x csv", "processor time"), lines, right=(1, 2, 3, 4))
    megabytes = formats["sheet_bytes"] / 1e6
    yield f"A workbook of {formats['sheet_rows']:,} rows, {megabytes:.1f} MB. The plain script is a fresh process:"
    yield "`read_excel`, `predict_proba`, `to_excel`, with pandas' defaults (openpyxl reads, XlsxWriter writes)."
    yield ""
    rows = [
        (
            title,
            f"{formats['sheets'][name]:.1f} s",
            f"{formats['sheet_ratios'][name]:.2f}" if name in formats["sheet_ratios"] else "",
        )
        for name, title in SHEET_TITLES.items()
    ]
    yield from _table(("", "time", "x Scoreline"), rows, right=(1, 2))


def _single(single: Data) -> Iterator[str]:
    yield f"`wrk` with one record per request, {single['seconds']} s each, every server alone while it is measured."
    yield "Some answers of each were compared with the pipeline's first. The others give the pipeline a frame, of a"
    yield "record or of a batch; Scoreline also tells each feature's effect, and stores request and answer on disk."
    yield ""
    for contender in single["contenders"].values():
        yield f"- {contender['title']}: {contender['how']}"
    yield ""
    for connections in map(str, single["connections"]):
        yield f"### {connections} {'connection' if connections == '1' else 'connections'}"
        yield ""
        yield from _table(
            ("", "p50, ms", "p99, ms", "longest, ms", "predictions/s", "Scoreline, times its rate", "failed"),
            [
                _load(name, contender, connections, single["ratios"])
                for name, contender in single["contenders"].items()
                if connections in contender["loads"]
            ],
            right=range(1, 7),
        )


def _load(name: str, contender: Data, connections: str, ratios: Data) -> tuple[str, ...]:
    load = contender["loads"][connections]
    ratio = ratios.get(name, {}).get(connections)
    return (
        contender["title"],
        shown(load["p50"]),
        shown(load["p99"]),
        shown(load["longest"], 0),
        shown(load["per_second"], 0),
        shown(ratio) if ratio else "",
        f"{load['bad_status'] + load['errors']:,} of {load['requests']:,}",
    )


def _mixed(mixed: Data) -> Iterator[str]:
    yield f"One client: single records one after the other for a second, then a file of {mixed['small_rows']:,} rows,"
    yield f"and again; alone, and while a job of {mixed['rows']:,} rows runs, which took {mixed['seconds']:.1f} s."
    yield ""
    lines = [
        (title, f"{one['singles']:,}", *(f"{one[key]:.2f}" for key in ("p50", "p99", "longest")), shown(one["files"]))
        for title, one in (("alone", mixed["idle"]), ("during the job", mixed["busy"]))
    ]
    names = ("", "records", "p50, ms", "p99, ms", "longest, ms", "small file, s")
    yield from _table(names, lines, right=range(1, 6))


def _memory(memory: Data) -> Iterator[str]:
    yield f"Sampled ten times a second during a job of {memory['rows']:,} rows, which took {memory['seconds']:.1f} s."
    yield "Resident memory is that of the largest process of its kind, shared pages included."
    yield ""
    spent = memory["processor_seconds"]
    lines = [
        (role, f"{peak / _MIB:,.0f} MiB", f"{spent.get(role, 0.0):,.1f}")
        for role, peak in sorted(memory["peak_bytes"].items(), key=lambda item: -item[1])
    ]
    yield from _table(("process", "peak resident", "processor seconds, all of a kind"), lines, right=(1, 2))
    store = memory["store_bytes_a_row"]
    yield f"The store grew by {store['kept']:.1f} bytes a row, by {store['peak']:.1f} at the most while the job ran."


def _scaling(scaling: Data) -> Iterator[str]:
    yield f"{scaling['rows']:,} rows, uploaded, scored and downloaded."
    yield ""
    lines = [
        *((f"{count} bulk process(es)", shown(times, 2, " s")) for count, times in scaling["seconds"].items()),
        ("two processes, times as fast as one", shown(scaling["speed_up"])),
        ("one job alone", shown(scaling["alone"], 2, " s")),
        ("two jobs at once, the first to end", shown(scaling["first_of_two"], 2, " s")),
        ("two jobs at once, both", shown(scaling["second_of_two"], 2, " s")),
        ("both, times as long as one alone", shown(scaling["two_to_one"])),
    ]
    yield from _table(("", "measured"), lines, right=(1,))


def _breakdown(breakdown: Data) -> Iterator[str]:
    rows, stages = breakdown["rows"], breakdown["stages"]
    total = sum(stage["median"] for stage in stages.values())
    yield f"{rows:,} rows through the product's own functions, in one process and one thread: {total:.2f} s in all."
    yield ""
    lines = [
        (name, shown(stage, 3), f"{stage['median'] / total:.0%}", f"{stage['median'] / rows * 1e9:,.0f}")
        for name, stage in sorted(stages.items(), key=lambda item: -item[1]["median"])
    ]
    yield from _table(("stage", "seconds", "share", "ns a row"), lines, right=(1, 2, 3))
    if breakdown["missing"]:
        yield f"Not found, so part of what calls them: {', '.join(breakdown['missing'])}."
        yield ""
    spent, elapsed = breakdown["processor_seconds"], breakdown["elapsed"]
    busy = sum(one["median"] for one in spent.values())
    yield f"The same file over HTTP took {shown(elapsed)} s and {busy:.2f} processor seconds: what these are more than"
    yield "above is HTTP, Celery, Redis and the system."
    yield ""
    shares = [
        (role, shown(one), f"{one['median'] / busy:.0%}")
        for role, one in sorted(spent.items(), key=lambda item: -item[1]["median"])
    ]
    yield from _table(("processes", "processor seconds", "share"), shares, right=(1, 2))
    yield "The steps of a single prediction, each measured by itself; in brackets the 1st and 99th percentile."
    yield ""
    steps = [(step, shown(times, 3)) for step, times in breakdown["single"].items()]
    yield from _table(("step", "milliseconds"), steps, right=(1,))


_SECTIONS: dict[str, tuple[str, Callable[[Data], Iterator[str]]]] = {
    "bulk": ("Whole files", _bulk),
    "bad_input": ("Bad files", _bad_input),
    "formats": ("Other formats", _formats),
    "single": ("Single records", _single),
    "mixed": ("Mixed load", _mixed),
    "memory": ("Memory", _memory),
    "scaling": ("Scaling", _scaling),
    "breakdown": ("What the limit is made of", _breakdown),
}


def _pictures(section: str, drawn: Sequence[str]) -> Iterator[str]:
    for name in drawn:
        if name.startswith(section):
            yield f"![{name.removesuffix('.svg').replace('-', ' ')}](charts/{name})"
            yield ""


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]], right: Iterable[int] = ()) -> Iterator[str]:
    numeric = set(right)
    yield f"| {' | '.join(names)} |"
    yield "|" + "|".join("---:" if place in numeric else "---" for place in range(len(names))) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def _plain(text: str) -> str:
    """The end of a message in one line, without the machine's folders and addresses."""
    return _ADDRESS.sub("…", _FOLDERS.sub("", " ".join(text.split())))[-_MESSAGE_LETTERS:]
