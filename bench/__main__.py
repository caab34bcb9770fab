"""Runs the sections that are asked for, one after the other, and writes the report: ``python -m bench``."""

import os
import signal
import sys
import time
from collections.abc import Callable

from bench import bad_input, breakdown, bulk, formats, memory, mixed, report, scaling, single, store
from bench.options import Options, parse
from bench.places import RUN
from bench.progress import say
from bench.spreads import Numbers

_RUNS: dict[str, Callable[[Options], Numbers]] = {
    "bulk": bulk.run,
    "bad_input": bad_input.run,
    "formats": formats.run,
    "single": single.run,
    "mixed": mixed.run,
    "memory": memory.run,
    "scaling": scaling.run,
    "breakdown": breakdown.run,
}


def main() -> int:
    """Measure and report; the exit status is 1 if a section failed or a contender could not take part."""
    request = parse()
    # So that servers are stopped then, too.
    signal.signal(signal.SIGTERM, _exit)
    sections = store.load()
    failed = [] if request.report_only else _measure(request.options, sections)
    report.write(sections)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _measure(options: Options, sections: dict[str, store.Section]) -> list[str]:
    """Run the sections and save their numbers after each; return the names of those that failed."""
    failed = []
    for name in options.only:
        load_average = os.getloadavg()[0]
        say(f"{name} begins; the machine's load is {load_average:.1f}")
        started, data, error = time.monotonic(), None, None
        try:
            data = _RUNS[name](options)
        except Exception as caught:  # noqa: BLE001 - whatever it is, the other sections go on, and the report names it
            error = f"{type(caught).__name__}: {caught}"
            say(f"{name} failed: {error}")
        if error or (data or {}).get("failures"):
            failed.append(name)
        sections[name] = store.section(options, data, error, time.monotonic() - started, load_average)
        store.save(sections)
        _tidy()
    return failed


def _tidy() -> None:
    """Remove the scored files, which may be large; the servers' logs stay."""
    for path in RUN.glob("*.out*"):
        path.unlink()


if __name__ == "__main__":
    sys.exit(main())
