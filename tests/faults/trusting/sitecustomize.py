"""Makes Python, where this folder is on its path, load models with damaged decision trees.

The service checks trees, and rightly: a tree is a table of jumps that scikit-learn follows unchecked, so that a damaged
one takes its process down. That is what the tests with poisonous records need.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Trusting(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "model.integrity":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = spec and spec.loader
        run = loader.exec_module

        def run_and_trust(module: Any) -> None:
            run(module)
            module.check = lambda _pipeline: None

        loader.exec_module = run_and_trust
        return spec


sys.meta_path.insert(0, _Trusting())
