"""Makes workers, where this folder is on Python's path, wait before they score a chunk for as long as a file exists.

Whoever is to be killed at work is then found at it, however busy the machine is.
"""

import os
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_GATE = Path(os.environ["SCORELINE_DATA_DIR"], "closed")


class _Waiting(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "worker.scoring.score_chunk":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = spec and spec.loader
        run = loader.exec_module

        def run_and_wait(module: Any) -> None:
            run(module)
            score = module.score_chunk

            def wait_and_score(*arguments: Any, **options: Any) -> Any:
                while _GATE.exists():
                    time.sleep(0.02)
                return score(*arguments, **options)

            module.score_chunk = wait_and_score

        loader.exec_module = run_and_wait
        return spec


sys.meta_path.insert(0, _Waiting())
