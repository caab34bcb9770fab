"""A file's way through the product's own functions in one process, with a clock around each stage.

``python -m bench.stages FILE`` prints seconds by stage. What a function calls counts for the stage of what is called.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.plain import scorer
from jobs.csv.decoding import Utf8Decoder
from jobs.csv.reader import Cutter, Header, read_header
from jobs.messages import InputChunk, Rejects, compress, decompress
from jobs.settings import Settings
from model.scorer import Scorer
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk

_BLOCK_BYTES = 64 * 1024
_REST = "the rest"
# Stage, and the function whose time it is, by the name under which the product calls it.
_STAGES = (
    ("finding records", "worker.scoring.parse", "index_records"),
    ("parsing the model's columns", "worker.scoring.score_chunk", "parse_chunk"),
    ("validating and encoding", "worker.scoring.score_chunk", "validate"),
    ("predicting", "model.scorer", "Scorer.predict_coded"),
    ("formatting", "worker.scoring.score_chunk", "fine_suffixes"),
    ("appending to the records", "worker.scoring.score_chunk", "scored_text"),
)


class Clock:
    """Seconds by stage; an inner stage's time does not count for the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for a stage."""
        started = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inner.pop()
            if self._inner:
                self._inner[-1] += spent

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted for a stage."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return function(*args, **kwargs)

        return timed


def main() -> None:
    """Measure a file, after a warm-up on its first chunks, and print the seconds by stage."""
    model = scorer()
    data = Path(sys.argv[1]).read_bytes()
    clock = Clock()
    missing = _wrap(clock)
    whole_way(data[: 1024 * 1024].rpartition(b"\n")[0], model, Clock())
    clock.seconds.clear()
    with clock.stage(_REST):
        whole_way(data, model, clock)
    print(json.dumps({"seconds": clock.seconds, "missing": missing}))


def _wrap(clock: Clock) -> list[str]:
    """Put the clock around the product's functions; the names of those that are not there any more."""
    missing = []
    for stage, module, path in _STAGES:
        *holders, name = path.split(".")
        holder: Any = import_module(module)
        for part in holders:
            holder = getattr(holder, part, None)
        if function := getattr(holder, name, None):
            setattr(holder, name, clock.around(stage, function))
        else:
            missing.append(f"{module}.{path}")
    return missing


def whole_way(data: bytes, model: Scorer, clock: Clock) -> None:
    """What web, worker and web again do with an upload, but for the network, Redis and Celery."""
    schema = model.card.record_schema
    with clock.stage("header"):
        header = read_header(data, lambda names: (len(schema.match_columns(names).columns), len(schema.features)), True)
        assert header is not None
        layout = Layout(header.delimiter, len(header.columns), schema.match_columns(header.columns).columns)
    for chunk in _chunks(data, header, clock):
        with clock.stage("compressing the input"):
            stored = chunk.encode()
        with clock.stage("decompressing the input"):
            taken = InputChunk.decode(stored)
        scored = score_chunk(taken, layout, [model], None)
        with clock.stage("compressing the results"):
            frame = compress(scored.output)
        if scored.rejects or scored.originals:
            with clock.stage("compressing the rejects"):
                Rejects(scored.rejects, scored.originals).encode()
        with clock.stage("decompressing the results"):
            decompress(frame)


def _chunks(data: bytes, header: Header, clock: Clock) -> Iterator[InputChunk]:
    text, cutter = Utf8Decoder(None), Cutter(header.delimiter, len(header.columns), Settings().chunk_bytes)
    for start in range(header.size, len(data), _BLOCK_BYTES):
        block = data[start : start + _BLOCK_BYTES]
        with clock.stage("decoding"):
            block = text.feed(block)
        with clock.stage("cutting at records"):
            chunks = list(cutter.feed(block))
        yield from (InputChunk(chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes) for chunk in chunks)
    with clock.stage("cutting at records"):
        chunks = list(cutter.finish())
    yield from (InputChunk(chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes) for chunk in chunks)


if __name__ == "__main__":
    main()
