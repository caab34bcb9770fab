"""The budgets, and whether what was measured keeps them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.options import MILLION, SHEET_ROWS

TEN_MILLION = 10 * MILLION
MEGABYTE = 1_000_000
_JUDGED_ROLES = ("web", "bulk worker", "interactive worker")

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget with what was measured; `kept` is None where that was of another size than the budget is for."""

    what: str
    limit: str
    measured: str
    kept: bool | None

    @property
    def verdict(self) -> str:
        """Whether it was kept, in words."""
        return {True: "met", False: "**fell short**", None: "not judged: a smaller run"}[self.kept]


def budgets(data: Mapping[str, Data]) -> Iterator[Budget]:
    """The budgets of the sections that have data."""
    judges = {
        "bulk": _bulk,
        "single": _single,
        "mixed": _mixed,
        "memory": _memory,
        "bad_input": _bad_input,
        "formats": _formats,
    }
    for section, judge in judges.items():
        if section in data:
            yield from judge(data[section])


def shown(spread: Data, digits: int = 2, unit: str = "") -> str:
    """A median with its spread, if there is one."""
    middle, least, most = (f"{spread[name]:,.{digits}f}" for name in ("median", "min", "max"))
    return f"{middle}{unit}" if least == most else f"{middle}{unit} ({least}-{most})"


def speed_of_large(bulk: Data, name: str) -> tuple[int, int, float] | None:
    """Rows of the standard and of the largest file, and the ratio of their rows per second; None if there is one."""
    sizes = {int(rows): size["seconds"].get(name) for rows, size in bulk["sizes"].items()}
    standard = max((rows for rows in sizes if rows <= MILLION), default=0)
    largest = max(sizes)
    small, large = sizes.get(standard), sizes[largest]
    if largest == standard or small is None or large is None:
        return None
    return standard, largest, (largest / large["median"]) / (standard / small["median"])


def _judge(keeps: bool, fits: bool) -> bool | None:
    return keeps if fits else None


def _bulk(bulk: Data) -> Iterator[Budget]:
    rows = max((int(rows) for rows in bulk["sizes"] if int(rows) <= MILLION), default=0)
    names = {"scoreline_job": "upload, wait, download", "scoreline_score": "one request"}
    if rows:
        found = bulk["sizes"][str(rows)]["ratios"]
        for name in [name for name in names if name in found]:
            for key, against in (("work", "the plain script's work alone"), ("seconds", "its whole process")):
                ratio = found[name][key]
                yield Budget(
                    f"{rows:,} rows, {names[name]}, against {against}", "≤ 0.35 x", shown(ratio, 3, " x"),
                    _judge(ratio["median"] <= 0.35, rows == MILLION),
                )  # fmt: skip
    for name, words in names.items():
        if speed := speed_of_large(bulk, name):
            standard, largest, ratio = speed
            yield Budget(
                f"rows per second of {largest:,} rows against {standard:,}, {words}", "± 10 %", f"{ratio:.2f} x",
                _judge(ratio >= 0.9, (standard, largest) == (MILLION, TEN_MILLION)),
            )  # fmt: skip


def _single(single: Data) -> Iterator[Budget]:
    loads = single["contenders"].get("scoreline", {}).get("loads", {})
    if "1" in loads:
        for name, limit in (("p50", 3), ("p99", 10)):
            found = loads["1"][name]
            keeps = found["median"] <= limit
            yield Budget(f"a prediction, 1 connection, {name}", f"≤ {limit} ms", shown(found, 2, " ms"), keeps)
    if "32" in loads:
        rate = loads["32"]["per_second"]
        yield Budget("predictions, 32 connections", "≥ 3,000/s", shown(rate, 0, "/s"), rate["median"] >= 3000)


def _mixed(mixed: Data) -> Iterator[Budget]:
    fits, during = mixed["rows"] == TEN_MILLION, f"during a job of {mixed['rows']:,} rows"
    p99, files = mixed["busy"]["p99"], mixed["busy"]["files"]
    yield Budget(f"a prediction, 1 connection, p99, {during}", "≤ 50 ms", f"{p99:.1f} ms", _judge(p99 <= 50, fits))
    yield Budget(
        f"a file of {mixed['small_rows']:,} rows {during}, the slowest of {len(files['values'])}", "≤ 2 s",
        f"{files['max']:.2f} s", _judge(files["max"] <= 2, fits),
    )  # fmt: skip


def _memory(memory: Data) -> Iterator[Budget]:
    fits, during = memory["rows"] == TEN_MILLION, f"{memory['rows']:,} rows"
    for role in _JUDGED_ROLES:
        peak = memory["peak_bytes"][role] / MEGABYTE
        yield Budget(f"largest {role} process, {during}", "< 300 MB", f"{peak:,.0f} MB", _judge(peak < 300, fits))
    for state, words in (("kept", "after the job"), ("peak", "at the most")):
        found = memory["store_bytes_a_row"][state]
        yield Budget(f"Redis, {words}, {during}", "≤ 40 bytes a row", f"{found:.1f}", _judge(found <= 40, fits))


def _bad_input(bad: Data) -> Iterator[Budget]:
    for kind, ratio in bad["ratios"].items():
        keeps = _judge(ratio["median"] <= 2, bad["rows"] == MILLION)
        base = bad.get("against", {}).get(kind, "clean")
        yield Budget(f"{bad['rows']:,} rows, {kind}, against {base}", "≤ 2 x", shown(ratio, 2, " x"), keeps)


def _formats(formats: Data) -> Iterator[Budget]:
    ratio = formats["ratios"]["parquet"]
    keeps = _judge(ratio["median"] <= 1, formats["rows"] == MILLION)
    yield Budget(f"{formats['rows']:,} rows, Parquet in and out, against CSV", "≤ 1 x", shown(ratio, 2, " x"), keeps)
    faster, rows = formats["sheet_ratios"]["pandas"], formats["sheet_rows"]
    what = f"{rows:,} rows, Excel in and out, against pandas"
    yield Budget(what, "≥ 4 x as fast", f"{faster:.2f} x", _judge(faster >= 4, rows == SHEET_ROWS))
