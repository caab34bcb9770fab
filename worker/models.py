"""The models that this worker process has loaded, each version once."""

import time
from functools import cache

import structlog

from jobs.settings import get_settings
from model.catalog import Catalog
from model.errors import BrokenModel
from model.scorer import Scorer
from worker.sample import check_sample

log = structlog.stdlib.get_logger(__name__)

# Why versions are not served here, by name, version and checksum.
_unfit: dict[tuple[str, str, str], str] = {}


@cache
def _catalog() -> Catalog:
    settings = get_settings()
    return Catalog(settings.models_dir, settings.default_model)


@cache
def _load(name: str, version: str) -> Scorer:
    began = time.monotonic()
    found = Scorer.load(_catalog(), name, version)
    _check(found)
    log.info("model loaded", model=name, version=version, seconds=round(time.monotonic() - began, 3))
    return found


def _check(found: Scorer) -> None:
    """Raise BrokenModel where this process answers otherwise than the card's proof; that stays so while it lives."""
    try:
        check_sample(found)
    except BrokenModel as error:
        _unfit[found.card.name, found.card.version, found.card.artifact_sha256] = str(error)
        raise


def scorer(name: str | None = None, version: str | None = None) -> Scorer:
    """A loaded model (None: the default one, its current version); raises as ``Scorer.load`` does."""
    card = _catalog().card(name, version)
    if why := _unfit.get((card.name, card.version, card.artifact_sha256)):
        raise BrokenModel(why)
    return _load(card.name, card.version)
