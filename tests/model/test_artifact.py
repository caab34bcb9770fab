"""Artifacts are verified before they are read, and never unpickled."""

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from model import artifact
from model.errors import BrokenModel


class Trap:
    """Creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def own_function(values: object) -> object:
    return values


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_saved_pipeline_answers_as_before(pipeline: Pipeline, held_out: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    loaded = artifact.load(path, artifact.save(pipeline, path))
    assert np.array_equal(loaded.predict_proba(held_out), pipeline.predict_proba(held_out))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.skops"]


def test_a_loaded_pipeline_saves_to_the_same_bytes(pipeline: Pipeline, tmp_path: Path) -> None:
    sha256 = artifact.save(pipeline, tmp_path / "first")
    assert artifact.save(pipeline, tmp_path / "second") == sha256


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_an_altered_file_is_refused(pipeline: Pipeline, tmp_path: Path, place: int) -> None:
    path = tmp_path / "model.skops"
    sha256 = artifact.save(pipeline, path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(BrokenModel, match="altered"):
        artifact.load(path, sha256)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match="cannot be read"):
        artifact.load(tmp_path / "model.skops", "0" * 64)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    sha256 = write(tmp_path / "model.skops", pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BrokenModel, match="not a skops artifact"):
        artifact.load(tmp_path / "model.skops", sha256)
    assert not (tmp_path / "sprung").exists()


def test_types_that_skops_does_not_trust_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    sha256 = artifact.save(FunctionTransformer(own_function), path)
    with pytest.raises(BrokenModel, match="not safe to load"):
        artifact.load(path, sha256)


def test_a_pipeline_of_another_scikit_learn_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'\\"1.', b'\\"0.'))
    with pytest.raises(BrokenModel, match=r"made by scikit-learn 0\.\d.*train it again"):
        artifact.load(path, hashlib.sha256(path.read_bytes()).hexdigest())
