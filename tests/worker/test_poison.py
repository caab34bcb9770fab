"""The last attempt at a chunk finds the one row that takes its process down or never ends."""

import faulthandler
from collections.abc import Iterator

import pytest

from jobs.messages import InputChunk
from tests.faults import poison
from worker.parse import Layout
from worker.score_chunk import score_chunk

LAYOUT = Layout(",", 2, {"dose": 0, "word": 1})


@pytest.fixture
def quiet() -> Iterator[None]:
    """A process that is expected to die need not say where."""
    faulthandler.disable()
    yield
    faulthandler.enable()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", ["raises", "kills its process", "never ends, and lets nothing else run"])
def test_the_last_attempt_rejects_the_poisonous_row_alone(kind: str) -> None:
    records = [poison.HARMLESS] * 20
    records[13] = poison.POISON[kind]
    text = "".join(f"{record['dose']},{record['word']}\n" for record in records)
    chunk = InputChunk(1, len(records), text.encode())
    scored = score_chunk(chunk, LAYOUT, [poison.poison_scorer()], None, apart=True, isolated_seconds=1)
    assert (scored.scored, scored.rejected, scored.scoring_failed) == (19, 1, 1)
    assert scored.rejects.startswith(b"14,")
    assert scored.output.splitlines()[12:15:2] == [b"10,fine,no,0.000000,"] * 2
