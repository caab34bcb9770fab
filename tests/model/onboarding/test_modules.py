"""Models with their owner's classes and functions: the module is stored by its hash, or the model is refused."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris

from model import artifact
from model.catalog import Catalog
from model.cli import cli
from model.custom_module import import_module, module_name
from model.errors import BrokenModel
from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING

Refused = Callable[..., str]
SOURCE = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Scaled(TransformerMixin, BaseEstimator):
    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        return self

    def transform(self, X):
        return np.asarray(X) * self.factor * {weight}


def doubled(X):
    return np.asarray(X) * 2
"""
TRAIN = """
import sys; sys.path.insert(0, ".")
import cloudpickle, joblib, skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
import mine.features, my_features

def fitted(scaled, doubled):
    model = make_pipeline(scaled(2.0), FunctionTransformer(doubled), LogisticRegression(max_iter=1000))
    return model.fit(*load_iris(return_X_y=True, as_frame=True))

ours = fitted(my_features.Scaled, my_features.doubled)
joblib.dump(ours, "module.pkl")
skops.io.dump(ours, "module.skops")
joblib.dump(fitted(mine.features.Scaled, mine.features.doubled), "package.pkl")
{definitions}
joblib.dump(fitted(Scaled, doubled), "script.pkl")
open("cloudpickle.pkl", "wb").write(cloudpickle.dumps(fitted(Scaled, doubled)))
"""
ORIGINAL = SOURCE.replace("{weight}", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that a script trained and saved in another process, with classes of its own and of modules."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").touch()
    for name in ("my_features.py", "mine/features.py"):
        (folder / name).write_text(ORIGINAL)
    (folder / "train.py").write_text(TRAIN.replace("{definitions}", ORIGINAL))
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True)
    return folder


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "my_features.py"
    path.write_text(ORIGINAL)
    return path


@pytest.fixture
def data() -> Any:
    return load_iris(return_X_y=True)[0]


@pytest.mark.parametrize("name", ["module.pkl", "module.skops", "script.pkl", "cloudpickle.pkl"])
def test_a_model_comes_with_its_module(trained: Path, module: Path, data: Any, refused: Refused, name: str) -> None:
    path = trained / name
    assert "--module" in refused(path)
    loaded = load_pipeline(path, (EVERYTHING,), module=module)
    assert loaded.module == module.read_bytes()
    name = module_name(loaded.module)
    assert loaded.trusted == (f"{name}.Scaled", f"{name}.doubled")
    again = artifact.loads(loaded.content, path, loaded.trusted)
    assert np.array_equal(again.predict_proba(data), loaded.pipeline.predict_proba(data))


def test_a_module_needs_trust(trained: Path, module: Path, refused: Refused) -> None:
    path = trained / "module.pkl"
    assert "Add --trust" in refused(path, (), module=module)


def test_a_class_that_the_module_does_not_define_is_named(trained: Path, module: Path, refused: Refused) -> None:
    path = trained / "module.pkl"
    module.write_text("x = 1\n")
    assert "does not define" in refused(path, module=module)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_like_it\n", "needs the module 'nothing_like_it'"),
        ("raise ValueError('no luck')\n", "ValueError: no luck"),
        ("import sys\nsys.exit(3)\n", "it exits"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(
    trained: Path, module: Path, refused: Refused, source: str, words: str
) -> None:
    path = trained / "module.pkl"
    module.write_text(source)
    assert words in refused(path, module=module)


def test_two_versions_with_different_code_live_side_by_side(trained: Path, module: Path, data: Any) -> None:
    path = trained / "module.pkl"
    one = load_pipeline(path, (EVERYTHING,), module=module)
    module.write_text(SOURCE.replace("{weight}", "10"))
    other = load_pipeline(path, (EVERYTHING,), module=module)
    assert one.content != other.content
    both = [artifact.loads(loaded.content, path, loaded.trusted) for loaded in (one, other)]
    assert np.array_equal(both[1][0].transform(data), both[0][0].transform(data) * 10)


def test_workers_import_the_module_only_if_it_is_the_one_of_the_card(
    trained: Path, tmp_path: Path, module: Path
) -> None:
    path = trained / "module.pkl"
    loaded = load_pipeline(path, (EVERYTHING,), module=module)
    sha256 = artifact.sha256_of(module.read_bytes())
    (tmp_path / "model.skops").write_bytes(loaded.content)
    archive = artifact.sha256_of(loaded.content)
    artifact.load(tmp_path / "model.skops", archive, loaded.trusted, module, sha256)
    module.write_text("import os\n")
    with pytest.raises(BrokenModel, match="the module of a model was altered"):
        artifact.load(tmp_path / "model.skops", archive, loaded.trusted, module, sha256)
    with pytest.raises(BrokenModel, match="it exits"):
        import_module(b"raise SystemExit")


def test_a_model_with_a_module_works_in_a_process_that_knows_nothing_of_it(
    trained: Path, tmp_path: Path, module: Path, data: Any
) -> None:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    frame.assign(species=target).to_csv(tmp_path / "iris.csv", index=False)
    add = ["add", str(trained / "module.pkl"), "--name", "flowers", "--data", str(tmp_path / "iris.csv")]
    options = ["--target", "species", "--trust", "--module", str(module)]
    run, models = CliRunner().invoke, ["--directory", str(tmp_path / "models")]
    assert run(cli, [*models, *add, *options]).exit_code == 0
    module.unlink()
    catalog = Catalog(tmp_path / "models")
    card = catalog.usable_card("flowers")
    code = (
        "import sys; from pathlib import Path; from model.catalog import Catalog; from model.scorer import Scorer; "
        f"scorer = Scorer.load(Catalog(Path({str(tmp_path / 'models')!r})), 'flowers'); print(type(scorer.pipeline[0]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"{module_name(ORIGINAL.encode())}.Scaled" in found.stdout
    stored = catalog.module_path(card)
    assert stored is not None
    assert stored.read_text() == ORIGINAL
    assert run(cli, [*models, "export", "flowers", "--output", str(tmp_path / "e.zip")]).exit_code == 0
    assert "module.py" in zipfile.ZipFile(tmp_path / "e.zip").namelist()
    stored.write_text("import os\n")
    with pytest.raises(BrokenModel, match=r"module flowers/.*/module.py was altered"):
        catalog.usable_card("flowers")
    stored.unlink()
    with pytest.raises(BrokenModel, match=r"module flowers/.*/module.py is missing"):
        catalog.usable_card("flowers")


def test_a_package_of_ones_own_is_one_module_here(trained: Path, data: Any) -> None:
    loaded = load_pipeline(trained / "package.pkl", (EVERYTHING,), module=trained / "mine" / "features.py")
    assert loaded.pipeline.predict(data).shape == (150,)
