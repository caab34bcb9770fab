"""Files of every dialect with every fault at every place become what the contract says, record by record."""

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.income_features import FEATURES
from model.scorer import Scorer
from tests.fuzz.compare import check_file
from tests.fuzz.contract import Opened, open_file, rows
from tests.fuzz.files import File, csv_files

# `make fuzz` asks for more.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
BLOCKS = st.lists(st.integers(1, 80) | st.just(1 << 16), min_size=1, max_size=4).map(tuple)
CHUNKS = st.sampled_from([1, 30, 90, 200, 1 << 22])


def examples(usual: int) -> Any:
    shared = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=EXAMPLES or usual, deadline=None, suppress_health_check=shared)


@examples(150)
@given(file=csv_files(FEATURES), blocks=BLOCKS, chunk=CHUNKS)
def test_every_record_becomes_what_the_contract_says(
    scorer: Scorer, file: File, blocks: tuple[int, ...], chunk: int
) -> None:
    wanted = open_file(file.data, FEATURES)
    assert isinstance(wanted, Opened)
    assert [row.broken or [(f.code, f.column) for f in row.faults] for row in rows(wanted, FEATURES)] == [
        frozenset({record.whole}) if record.whole else list(record.faults) for record in file.records
    ]
    check_file(file.data, scorer, blocks, chunk)
