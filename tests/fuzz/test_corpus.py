"""What the fuzzer kept, and what it found, is read as the contract says; it needs no fuzzer."""

from pathlib import Path

import pytest

from model.scorer import Scorer
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def test_the_corpus_is_there_and_small() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == TARGETS.keys()
    assert sum(path.stat().st_size for path in files) < 200_000


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_is_taken_as_promised(target: str, scorer: Scorer) -> None:
    for path in sorted((CORPUS / target).iterdir()):
        try:
            TARGETS[target](path.read_bytes(), scorer)
        except Exception as error:
            raise AssertionError(f"{path.name}: {error}") from error
