"""The models loaded by this worker process, each version once."""

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import structlog

from jobs.settings import get_settings
from model.card import Card
from model.catalog import Catalog
from model.errors import BrokenModel, ModelError
from model.explanation import trees
from model.scorer import Scorer
from worker.sample import check_sample

log = structlog.stdlib.get_logger(__name__)

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
    """Return the card of a model; raise UnknownModel or BrokenModel if there is none."""
    return _catalog().card(name, version)


def scorer(name: str | None = None, version: str | None = None) -> Scorer:
    """Return a loaded model, by default the current version of the default model; raise as ``Scorer.load`` does."""
    card = _catalog().card(name, version)
    if reason := _refused.get((card.name, card.version, card.artifact_sha256)):
        raise BrokenModel(reason)
    return _load(card.name, card.version)
