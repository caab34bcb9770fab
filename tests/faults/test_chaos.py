"""A short run of ``make chaos``: kills, resets and shortages while clients go on; nothing is lost."""

from pathlib import Path

import pytest

from model.scorer import Scorer
from tests.chaos.faults import Fault
from tests.chaos.run import Options, Run

# What the other tests of this folder do not do. What takes longer, or a C compiler, is in the long form.
SHORT = {
    "kill a web worker",
    "kill the store",
    "kill the recorder",
    "no database",
    "reset clients' connections",
    "reset connections to the store",
    "full disk",
    "full memory",
}


def chosen(fault: Fault) -> bool:
    return fault.name in SHORT


@pytest.mark.parametrize("seed", [4])
def test_nothing_is_lost_whatever_happens(tmp_path: Path, models: Path, scorer: Scorer, seed: int) -> None:
    # The key of an upload whose web process was killed is free again after the idle time.
    quick = {
        "SCORELINE_LEASE_SECONDS": "2",
        "SCORELINE_STORE_TIMEOUT_SECONDS": "1",
        "SCORELINE_UPLOAD_IDLE_SECONDS": "3",
    }
    options = Options(seed, kills=3, rows=8_000, longest=2.0, settings=quick, chosen=chosen)
    outcome = Run(options, tmp_path, models, scorer).go()
    # How long it took is measured by the long form; here a slow machine may take its time.
    assert [failure for failure in outcome.failures if "to recover" not in failure] == []
    assert {fault.partition(" ")[0] for fault in outcome.faults} == {name.partition(" ")[0] for name in SHORT}
    assert outcome.rows == 8_000
    assert outcome.notes.counts["single: 200"] > 0
