"""The models that this worker process has loaded, each version once."""

import time
from functools import cache

import structlog

from jobs.settings import get_settings
from model.catalog import Catalog
from model.scorer import Scorer
from worker.sample import check_sample

log = structlog.stdlib.get_logger(__name__)


@cache
def _catalog() -> Catalog:
    settings = get_settings()
    return Catalog(settings.models_dir, settings.default_model)


@cache
def _load(name: str, version: str) -> Scorer:
    began = time.monotonic()
    found = Scorer.load(_catalog(), name, version)
    check_sample(found)
    log.info("model loaded", model=name, version=version, seconds=round(time.monotonic() - began, 3))
    return found


def scorer(name: str | None = None, version: str | None = None) -> Scorer:
    """A loaded model (None: the default one, its current version); raises as ``Scorer.load`` does."""
    card = _catalog().card(name, version)
    return _load(card.name, card.version)
