"""Importing this keeps pyarrow from importing pandas, which takes half a second and is of no use to a short process."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Answers as if pandas, which pyarrow can do without, were not installed."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ImportError for pandas; leave all others to the other finders."""
        del path, target
        if fullname == "pandas":
            raise ImportError(name=fullname)


if "pandas" not in sys.modules:
    sys.meta_path.insert(0, _NoPandas())
