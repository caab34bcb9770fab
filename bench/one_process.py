"""Processor time of cutting and scoring files in one process, as web and workers do it.

``python -m bench.one_process REPEATS FILE…`` takes the files in turn and prints a list of seconds for each.
"""

import json
import sys
import time
from pathlib import Path

from bench.plain import scorer
from bench.stages import Clock, whole_way


def main() -> None:
    """Measure the files, after a warm-up on the beginning of each."""
    repeats, model = int(sys.argv[1]), scorer()
    files = [Path(name).read_bytes() for name in sys.argv[2:]]
    for data in files:
        whole_way(data[: 1024 * 1024].rpartition(b"\n")[0], model, Clock())
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(repeats):
        for data, taken in zip(files, seconds, strict=True):
            started = time.process_time()
            whole_way(data, model, Clock())
            taken.append(time.process_time() - started)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
