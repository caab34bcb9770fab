"""gunicorn's settings."""

import gc
import runpy
from types import SimpleNamespace

import pytest

from jobs.settings import get_settings
from tests.stack import ROOT


def test_loaded_modules_are_exempt_from_garbage_collection() -> None:
    settings = runpy.run_path(str(ROOT / "web" / "server" / "gunicorn.conf.py"))
    try:
        settings["post_worker_init"](SimpleNamespace(place=0))
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("host", "bind"), [("127.0.0.1", "127.0.0.1:80"), ("box", "box:80"), ("::", "[::]:80"), ("::1", "[::1]:80")]
)
def test_it_listens_on_addresses_of_both_kinds(monkeypatch: pytest.MonkeyPatch, host: str, bind: str) -> None:
    monkeypatch.setenv("HOST", host)
    monkeypatch.setenv("PORT", "80")
    get_settings.cache_clear()
    try:
        assert runpy.run_path(str(ROOT / "web" / "server" / "gunicorn.conf.py"))["bind"] == [bind]
    finally:
        get_settings.cache_clear()
