"""What gunicorn is told to do around the application."""

import gc
import runpy

from tests.stack import ROOT


def test_what_is_loaded_for_good_is_no_garbage_to_look_for() -> None:
    settings = runpy.run_path(str(ROOT / "web" / "gunicorn.conf.py"))
    try:
        settings["post_worker_init"](None)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
