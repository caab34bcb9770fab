"""Any file is read by its content, or refused in one line that says what to do."""

import bz2
import gzip
import lzma
import pickle
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import cloudpickle
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, StandardScaler
from sklearn.svm import SVC

from model import artifact
from model.errors import RefusedModel
from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING
from tests.model.onboarding.conftest import same

Refused = Callable[..., str]
Data = tuple[pd.DataFrame, pd.Series]


class Ends:
    """Runs code when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.reduced


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("model.sav", None),
        ("model", None),
        ("model.joblib.gz", gzip.compress),
        ("model.pkl.xz", lzma.compress),
        ("model.bz2", bz2.compress),
        ("model.lzma", lambda content: lzma.compress(content, lzma.FORMAT_ALONE)),
        ("model.skops.gz", gzip.compress),
    ],
)
def test_a_pickle_is_known_by_its_content_whatever_its_name(
    fitted: Pipeline, iris: Data, tmp_path: Path, name: str, compress: Any
) -> None:
    content = skops.io.dumps(fitted) if "skops" in name else pickle.dumps(fitted)
    (tmp_path / name).write_bytes(compress(content) if compress else content)
    if "skops" not in name:
        with pytest.raises(RefusedModel, match=r"any program.*--trust"):
            load_pipeline(tmp_path / name)
    loaded = load_pipeline(tmp_path / name, (EVERYTHING,))
    assert same(loaded.pipeline, fitted, iris[0])
    assert loaded.content == artifact.dumps(fitted)


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_compression_of_joblibs_own_is_read(fitted: Pipeline, iris: Data, tmp_path: Path, compress: str) -> None:
    joblib.dump(fitted, tmp_path / "model.joblib", compress=(compress, 3))
    assert same(load_pipeline(tmp_path / "model.joblib", (EVERYTHING,)).pipeline, fitted, iris[0])


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickle_is_known(fitted: Pipeline, tmp_path: Path, protocol: int) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps({"model": fitted}, protocol))
    assert load_pipeline(tmp_path / "m", (EVERYTHING,)).format == "pickle"


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomForestClassifier(n_estimators=3),
        lambda: GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2]}, scoring="f1_macro"),
        lambda: CalibratedClassifierCV(RandomForestClassifier(n_estimators=2), cv=2),
        lambda: StackingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(n_estimators=2))], cv=2),
        lambda: VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(n_estimators=2))]),
        lambda: IsolationForest(n_estimators=3),
        lambda: KMeans(3, n_init=1),
        lambda: make_pipeline(FunctionTransformer(np.log1p), FunctionTransformer(np.nan_to_num), LogisticRegression()),
        lambda: make_imblearn_pipeline(StandardScaler(), SMOTE(random_state=0), LogisticRegression()),
        lambda: BalancedRandomForestClassifier(n_estimators=3),
    ],
)
def test_models_of_scikit_learn_and_imbalanced_learn_need_no_trust(iris: Data, tmp_path: Path, make: Any) -> None:
    model = make().fit(*iris)
    skops.io.dump(model, tmp_path / "model.skops")
    loaded = load_pipeline(tmp_path / "model.skops")
    assert loaded.trusted == ()
    assert same(artifact.loads(loaded.content, tmp_path), model, iris[0])
    assert artifact.dumps(artifact.loads(loaded.content, tmp_path)) == loaded.content


@pytest.mark.parametrize(
    ("reduced", "words"),
    [
        ((sys.exit, (3,)), "ends the program when it is read"),
        ((interrupt, ()), "was interrupted"),
        ((int, ("no number",)), "ValueError"),
        ((eval, ("[][0]",)), "IndexError"),
    ],
)
def test_whatever_happens_while_a_pickle_is_read_is_a_refusal(
    tmp_path: Path, refused: Refused, reduced: Any, words: str
) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Ends(reduced[0], *reduced[1])))
    assert words in refused(tmp_path / "m.pkl")


def test_a_cut_file_is_refused(fitted: Pipeline, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(fitted)[:-50])
    assert "is not a pickle that can be read" in refused(tmp_path / "m.pkl")
    (tmp_path / "m.gz").write_bytes(gzip.compress(pickle.dumps(fitted))[:-50])
    assert "compressed, but broken" in refused(tmp_path / "m.gz")
    (tmp_path / "m.skops").write_bytes(skops.io.dumps(fitted)[:-50])
    assert "zip archive, but broken" in refused(tmp_path / "m.skops")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n0000", "HDF5 file, such as Keras writes.*ONNX"),
        (b"a,b,c\n1,2,3\n", "CSV table.*--data"),
        (b"a;b\n1;2\n", "CSV table.*--data"),
        (b"PAR1....", "Parquet table"),
        (b'<?xml version="1.0"?>\n<PMML version="4.4">', "PMML"),
        (b'{"cells": []}', "notebook"),
        (b'{"a": 1}', "JSON"),
        (b"import pandas as pd\nx = 1\n", "Python source.*--module"),
        (b'{"name":"tree","tree_info":[]}', "dump of LightGBM"),
        (b'{"features_info":{},"oblivious_trees":[]}', "CatBoost model in JSON"),
        (b"binf0000", "old binary format"),
        (bytes(range(200, 256)), "nothing that is known"),
    ],
)
def test_other_files_are_named_for_what_they_look_like(
    tmp_path: Path, refused: Refused, content: bytes, words: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RefusedModel, match=words):
        load_pipeline(tmp_path / "file", (EVERYTHING,))


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("archive/data.pkl", "PyTorch"),
        ("model.weights.h5", "Keras"),
        ("a.npy", "NumPy arrays"),
        ("x", "without a skops"),
    ],
)
def test_zip_archives_are_named_for_what_is_in_them(tmp_path: Path, refused: Refused, member: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr(member, b"")
    assert words in refused(tmp_path / "file")


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    assert "there is no file" in refused(tmp_path / "none")
    assert "without an MLmodel file" in refused(tmp_path)
    assert "give the folder of the model" in refused(Path("models:/churn@champion"))


def test_a_bundle_tells_its_features_and_classes(iris: Data, tmp_path: Path) -> None:
    encoder = LabelEncoder().fit(["setosa", "versicolor", "virginica"])
    model = LogisticRegression().fit(iris[0].to_numpy(), iris[1])
    joblib.dump({"clf": model, "Feature_Names": list(iris[0]), "le": encoder, "threshold": 0.3}, tmp_path / "b.pkl")
    loaded = load_pipeline(tmp_path / "b.pkl", (EVERYTHING,))
    assert same(loaded.pipeline, model, iris[0].to_numpy())
    assert loaded.features == tuple(iris[0])
    assert loaded.classes == ("setosa", "versicolor", "virginica")
    assert any("threshold" in note for note in loaded.notes)


def test_a_bundle_in_a_skops_file_and_a_pair_are_bundles_too(fitted: Pipeline, iris: Data, tmp_path: Path) -> None:
    skops.io.dump({"model": fitted, "columns": list(iris[0])}, tmp_path / "b.skops")
    assert load_pipeline(tmp_path / "b.skops").features == tuple(iris[0])
    joblib.dump((fitted, list(iris[0])), tmp_path / "b.pkl")
    assert load_pipeline(tmp_path / "b.pkl", (EVERYTHING,)).content == artifact.dumps(fitted)


def test_one_of_several_models_is_chosen_by_key(fitted: Pipeline, iris: Data, tmp_path: Path, refused: Refused) -> None:
    other = KMeans(2, n_init=1).fit(iris[0])
    joblib.dump({"first": fitted, "second": other}, tmp_path / "b.pkl")
    assert refused(tmp_path / "b.pkl").endswith("holds several models; name one with --key: 'first', 'second'")
    assert same(load_pipeline(tmp_path / "b.pkl", (EVERYTHING,), key="second").pipeline, other, iris[0])
    assert "no key 'third'; there are: 'first', 'second'" in refused(tmp_path / "b.pkl", key="third")


def test_a_scaler_beside_the_model_is_refused(fitted: Pipeline, tmp_path: Path, refused: Refused) -> None:
    joblib.dump({"model": fitted, "scaler": fitted[0]}, tmp_path / "b.pkl")
    assert "put them into one Pipeline" in refused(tmp_path / "b.pkl")
    joblib.dump({"model": fitted, "encoders": {"town": LabelEncoder().fit(["a"])}}, tmp_path / "b.pkl")
    assert "put them into one Pipeline" in refused(tmp_path / "b.pkl")
    joblib.dump({"features": ["a"]}, tmp_path / "b.pkl")
    assert "holds no model" in refused(tmp_path / "b.pkl")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda X: DBSCAN().fit(X), "labels the rows that it was fitted on"),
        (lambda X: LocalOutlierFactor().fit(X), "novelty=True"),
        (lambda X: StandardScaler().fit(X), "transforms and does not predict; save the whole Pipeline"),
        (lambda X: make_pipeline(StandardScaler()).fit(X), "Pipeline that ends with a StandardScaler"),
        (lambda X: GridSearchCV(KMeans(n_init=1), {"n_clusters": [2]}, refit=False).fit(X), "refit=True"),
        (lambda _: LogisticRegression(), "not fitted"),
        (lambda _: make_pipeline(StandardScaler(), LogisticRegression()), "not fitted"),
        (lambda _: LogisticRegression, "the class LogisticRegression"),
        (lambda _: np.mean, "holds the function mean"),
        (lambda X: X, "holds data"),
        (lambda _: 3, "does not predict"),
    ],
)
def test_what_does_not_predict_is_refused(iris: Data, tmp_path: Path, refused: Refused, make: Any, words: str) -> None:
    joblib.dump(make(iris[0]), tmp_path / "m.pkl")
    assert words in refused(tmp_path / "m.pkl")


@pytest.mark.parametrize("library", ["statsmodels", "torch", "keras", "pyspark"])
def test_results_of_other_libraries_are_refused_by_name(
    tmp_path: Path, refused: Refused, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries are not installed; a class with their module's name stands for the real one."""
    made = type("Results", (), {"predict": lambda *_: None, "__module__": f"{library}.results"})
    module = types.ModuleType(f"{library}.results")
    module.Results = made  # type: ignore[attr-defined]
    package = types.ModuleType(library)
    package.results = module  # type: ignore[attr-defined]
    with monkeypatch.context() as there:
        there.setitem(sys.modules, library, package)
        there.setitem(sys.modules, f"{library}.results", module)
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(made()))
        assert "module" in refused(tmp_path / "m.pkl") or "model" in refused(tmp_path / "m.pkl")
    assert f"needs {library}, which is not installed" in refused(tmp_path / "m.pkl")


def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it(iris: Data, tmp_path: Path) -> None:
    """In a child process in which none of them can be imported."""
    models = {
        "xgboost": xgboost.XGBClassifier(n_estimators=2, n_jobs=1),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1),
        "catboost": catboost.CatBoostClassifier(iterations=2, silent=True, allow_writing_files=False),
        "imblearn": BalancedRandomForestClassifier(n_estimators=2),
    }
    for name, model in models.items():
        skops.io.dump(model.fit(*iris), tmp_path / f"{name}.skops")
        joblib.dump(model, tmp_path / f"{name}.pkl")
    code = (
        f"import sys; sys.modules |= dict.fromkeys({list(models)!r}); from pathlib import Path\n"
        "from model.errors import RefusedModel; from model.onboarding.load_pipeline import load_pipeline\n"
        f"for path in Path({str(tmp_path)!r}).iterdir():\n"
        "    try: load_pipeline(path, ('everything',))\n"
        "    except RefusedModel as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.count("pip install -r requirements-boosters.txt") == 8, found.stdout


def test_a_lambda_is_refused_with_advice(iris: Data, tmp_path: Path, refused: Refused) -> None:
    model = make_pipeline(FunctionTransformer(lambda values: values), LogisticRegression()).fit(*iris)
    (tmp_path / "m.pkl").write_bytes(cloudpickle.dumps(model))
    assert "lambda" in refused(tmp_path / "m.pkl")
    assert "--module" in refused(tmp_path / "m.pkl")
