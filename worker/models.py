"""The models loaded by this worker process, each version once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import sklearn
import structlog

from jobs.settings import get_settings
from model.card import Card
from model.catalog import LIBRARY, Catalog
from model.census.train import MODULES as SHIPPED
from model.errors import BrokenModel, ModelError, UnknownModel
from model.explanation import trees
from model.scorer import Scorer
from worker.sample import check_sample

log = structlog.stdlib.get_logger(__name__)

_SHARING = (sys.executable, "-m", "jobs.models")
_TRAINING = (sys.executable, "-m", "model.census.train", "--directory")
_REFUSED = 3
# Reasons why versions are not served by this process, by name, version and checksum.
_refused: dict[tuple[str, str, str], str] = {}


@cache
def _catalog() -> Catalog:
    settings = get_settings()
    return Catalog(settings.models_dir, settings.default_model)


@cache
def _load(name: str, version: str) -> Scorer:
    began = time.monotonic()
    loaded = Scorer.load(_catalog(), name, version)
    _check(loaded)
    log.info("model loaded", model=name, version=version, seconds=round(time.monotonic() - began, 3))
    return loaded


def _check(loaded: Scorer) -> None:
    """Raise ``BrokenModel`` if predictions differ from the card's proof; the version is refused from then on."""
    try:
        check_sample(loaded)
    except BrokenModel as error:
        _refused[loaded.card.name, loaded.card.version, loaded.card.artifact_sha256] = str(error)
        raise


def import_explainers() -> None:
    """Import what explains the current models, in the main process: its children inherit it.

    shap takes seconds to import, on a busy machine more than the time limit of a prediction. A process that imported it
    for its first explanation would then be killed, and so would the next one.
    """
    if trees.TreeModel.method in _explanation_methods() and find_spec(trees.LIBRARY):
        import_module(trees.LIBRARY)


def _explanation_methods() -> Iterator[str]:
    for name in _catalog().names():
        with suppress(ModelError):
            explanation = _catalog().card(name).explanation
            if explanation:
                yield explanation.method


def card(name: str, version: str) -> Card:
    """Return the card of a model, fetched if it is not here; raise UnknownModel or BrokenModel if there is none."""
    try:
        return _catalog().card(name, version)
    except UnknownModel:
        if not fetch(name, version):
            raise
        return _catalog().card(name, version)


def fetch(name: str, version: str) -> bool:
    """Fetch a version that another host has published; return whether the store has it and answered.

    Raises:
        BrokenModel: the version was altered, or is not trusted here; the text says why.
    """
    if get_settings().redis_url is None:
        return False
    # A process of its own: the object store must not be used in one that forks.
    ended = subprocess.run([*_SHARING, "fetch", name, version], capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode == _REFUSED:
        raise BrokenModel((ended.stderr.strip().splitlines() or ["the version cannot be fetched"])[-1])
    return not ended.returncode


def prepare() -> None:
    """Load the default model in the main process of a worker, from which the others are forked.

    The models of other hosts are fetched first. Those that ship are trained where another scikit-learn made them, or
    where there is no default model. What cannot be loaded then does not keep the worker from serving other models.
    """
    share()
    if names := _to_train():
        log.warning("training models that ship", models=names)
        subprocess.run([*_TRAINING, str(get_settings().models_dir), *names], check=False)  # noqa: S603 - our own module
        share()
    try:
        scorer()
    except ModelError as error:
        log.error("the default model cannot be loaded", error=str(error))  # noqa: TRY400 - the text says it all


def _to_train() -> list[str]:
    names = []
    for name in SHIPPED:
        try:
            card = _catalog().card(name)
        except UnknownModel:
            if name == _catalog().default:
                names.append(name)
        except BrokenModel:
            continue
        else:
            if card.libraries.get(LIBRARY) not in (None, sklearn.__version__):
                names.append(name)
    return names


def share() -> None:
    """Bring the models of this host and those of others together, in a process of its own: this one will fork."""
    if get_settings().redis_url is not None:
        subprocess.run([*_SHARING, "sync"], check=False)  # noqa: S603 - our own module


def scorer(name: str | None = None, version: str | None = None) -> Scorer:
    """Return a loaded model, by default the current version of the default model; raise as ``Scorer.load`` does.

    A version that is not here is fetched from the store, if there is one that other hosts use as well.
    """
    try:
        card = _catalog().card(name, version)
    except UnknownModel:
        if name is None or version is None or not fetch(name, version):
            raise
        card = _catalog().card(name, version)
    if reason := _refused.get((card.name, card.version, card.artifact_sha256)):
        raise BrokenModel(reason)
    return _load(card.name, card.version)
