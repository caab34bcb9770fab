"""Draws the charts: ``charts.py RESULTS.json FOLDER``. Runs in an environment of its own, and knows nothing of ours."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

# Scoreline's blue, and for the others colours that can be told apart without seeing colours well.
_COLOURS = {
    "scoreline": "#0b57a4", "scoreline_job": "#0b57a4", "scoreline_score": "#5a9bd8", "plain": "#8a8a8a",
    "mlflow": "#b8860b", "flask": "#8a8a8a", "litserve": "#7b3fa0", "mlserver": "#c0392b", "bentoml": "#1e8449",
}  # fmt: skip
_MARKS = {"scoreline": "o", "flask": "s", "litserve": "^", "mlserver": "D", "bentoml": "v"}


def main() -> None:
    """Draw what there are numbers for."""
    results, folder = Path(sys.argv[1]), Path(sys.argv[2])
    # The same numbers give the same bytes: ids are made from a fixed salt, and no date is written.
    plt.rcParams.update({"svg.hashsalt": "scoreline", "svg.fonttype": "none", "font.size": 10, "axes.axisbelow": True})
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.svg"):
        path.unlink()
    sections = json.loads(results.read_text())["sections"]
    for name, draw in (("bulk", _bulk), ("bad_input", _bad_input), ("single", _single), ("breakdown", _breakdown)):
        if data := sections.get(name, {}).get("data"):
            draw(data, folder)


def _bulk(bulk: dict[str, Any], folder: Path) -> None:
    sizes = bulk["sizes"]
    figure, axes = plt.subplots(len(sizes), 1, figsize=(7, 1.9 * len(sizes)), squeeze=False, layout="constrained")
    for axis, (rows, size) in zip(axes[:, 0], sizes.items(), strict=True):
        names = list(size["seconds"])[::-1]
        spreads = [size["seconds"][name] for name in names]
        _bars(axis, [bulk["titles"][name] for name in names], spreads, [_COLOURS[name] for name in names])
        axis.set_title(f"{int(rows):,} rows")
        axis.set_xlabel("seconds")
    _save(figure, folder / "bulk.svg")


def _bad_input(bad: dict[str, Any], folder: Path) -> None:
    kinds = list(bad["ratios"])[::-1]
    figure, axis = plt.subplots(figsize=(7, 1 + 0.25 * len(kinds)))
    _bars(axis, kinds, [bad["ratios"][kind] for kind in kinds], [_COLOURS["scoreline"]] * len(kinds))
    axis.axvline(1, color="black", linewidth=0.8)
    axis.axvline(2, color="#c0392b", linewidth=0.8, linestyle="--")
    axis.set_xlabel("times the clean file's time (dashed: the budget)")
    _save(figure, folder / "bad_input.svg")


def _single(single: dict[str, Any], folder: Path) -> None:
    for measure, title, scale in (
        ("per_second", "predictions per second", "linear"), ("p50", "p50, ms", "log"), ("p99", "p99, ms", "log"),
    ):  # fmt: skip
        figure, axis = plt.subplots(figsize=(6, 3.4))
        for name, contender in single["contenders"].items():
            loads = contender["loads"]
            places = [place for place, one in enumerate(single["connections"]) if str(one) in loads]
            spreads = [loads[str(single["connections"][place])][measure] for place in places]
            middles = [one["median"] for one in spreads]
            errors = [[one["median"] - one["min"] for one in spreads], [one["max"] - one["median"] for one in spreads]]
            axis.errorbar(places, middles, errors, label=contender["title"], color=_COLOURS[name], marker=_MARKS[name],
                          capsize=3)  # fmt: skip
        axis.set_xticks(range(len(single["connections"])), [str(one) for one in single["connections"]])
        if scale == "log":
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        else:
            axis.set_ylim(bottom=0)
        axis.set_xlabel("connections")
        axis.set_ylabel(title)
        axis.grid(visible=True, linewidth=0.4)
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        _save(figure, folder / f"single-{measure.replace('_', '-')}.svg")


def _breakdown(breakdown: dict[str, Any], folder: Path) -> None:
    for kind, title in (("stages", "seconds, one process"), ("processor_seconds", "processor seconds, over HTTP")):
        ordered = sorted(breakdown[kind].items(), key=lambda item: item[1]["median"])
        figure, axis = plt.subplots(figsize=(7, 0.6 + 0.32 * len(ordered)))
        colours = [_COLOURS["scoreline"]] * len(ordered)
        _bars(axis, [name for name, _ in ordered], [one for _, one in ordered], colours)
        axis.set_xlabel(f"{title}, {breakdown['rows']:,} rows")
        _save(figure, folder / f"breakdown-{kind.replace('_', '-')}.svg")


def _bars(axis: Any, names: list[str], spreads: list[dict[str, float]], colours: list[str]) -> None:
    middles = [one["median"] for one in spreads]
    errors = [[one["median"] - one["min"] for one in spreads], [one["max"] - one["median"] for one in spreads]]
    axis.barh(names, middles, xerr=errors, color=colours, error_kw={"capsize": 3, "linewidth": 1})
    for place, (value, high) in enumerate(zip(middles, [one["max"] for one in spreads], strict=True)):
        axis.annotate(f"{value:.3g}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_xlim(0, 1.15 * max(one["max"] for one in spreads) or 1)
    axis.grid(visible=True, axis="x", linewidth=0.4)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
