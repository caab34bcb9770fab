"""The report of a run, as Markdown for people and as JSON for programs."""

import json
import os
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.run import Outcome


def figures(outcome: Outcome) -> dict[str, Any]:
    """The run in numbers."""
    notes, options = outcome.notes, outcome.options
    before, full, after = outcome.memory
    return {
        "seed": options.seed,
        "seconds": round(outcome.seconds),
        "kills": sum(name.startswith("kill") for name in outcome.faults),
        "kills_with_files_under_way": outcome.met_work,
        "faults": dict(sorted(Counter(outcome.faults).items())),
        "skipped": outcome.skipped,
        "jobs": outcome.jobs,
        "files_acknowledged": len(notes.accepted),
        "rows": outcome.rows,
        "rows_missing": notes.missing,
        "rows_repeated": notes.repeated,
        "files_out_of_order": notes.moved,
        "rows_wrong": notes.wrong,
        "polls": sum(accepted.polls for accepted in notes.accepted),
        "answers": dict(sorted(notes.counts.items())),
        "single_promises": len(notes.promised),
        "recovery_seconds": _spread(outcome, "kill"),
        "recovery_seconds_other": _spread(outcome, ""),
        "slow_recoveries": sum(1 for name, seconds in outcome.recoveries if name.startswith("kill") and seconds > 10),
        "cores": os.cpu_count(),
        "load_average": round(statistics.mean(outcome.loads), 1),
        "memory_bytes": {"before": before, "with_all_jobs": full, "after_deleting": after},
        "failures": outcome.failures,
    }


def _spread(outcome: Outcome, kind: str) -> dict[str, float]:
    """The median and the longest of the recoveries from kills, or from everything else."""
    found = [seconds for name, seconds in outcome.recoveries if name.startswith("kill") == (kind == "kill")]
    return {"median": round(statistics.median(found), 1), "longest": round(max(found), 1)} if found else {}


def markdown(found: dict[str, Any]) -> str:
    """The figures as a page."""
    lines = [f"# Chaos, seed {found['seed']}", "", "| what | figure |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in found.items()
              if name not in ("faults", "answers", "failures", "skipped")]  # fmt: skip
    for part in ("faults", "answers"):
        lines += ["", f"| {part} | times |", "|---|---|"]
        lines += [f"| {name} | {count:,} |" for name, count in found[part].items()]
    for part in ("skipped", "failures"):
        lines += ["", f"## {part.capitalize()}", "", *(f"- {line}" for line in found[part] or ["none"])]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_shown(part)}" for name, part in value.items())
    return f"{value:,}"


def write(outcome: Outcome, path: Path) -> None:
    """Write the report to ``path`` (.md) and beside it (.json)."""
    found = figures(outcome)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(found))
