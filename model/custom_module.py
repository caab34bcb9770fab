"""A model's own Python module: transformers that somebody wrote, stored beside the artifact and imported by its hash.

The module is imported under a name made of its SHA-256, and the artifact refers to its classes by that name: the code
of one version of a model never stands in for that of another.
"""

import sys
from types import ModuleType

from model.errors import BrokenModel
from model.files import sha256_of

PREFIX = "scoreline_module_"
_DIGITS = 16


def module_name(source: bytes) -> str:
    """Return the name under which a module with this source is imported."""
    return f"{PREFIX}{sha256_of(source)[:_DIGITS]}"


def import_module(source: bytes, called: str = "module.py") -> ModuleType:
    """Import a module from its source, once in this process; it runs with this process's rights.

    Raises BrokenModel where it cannot be compiled, raises, exits, or needs a module that is not installed.
    """
    name = module_name(source)
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = called
    sys.modules[name] = module
    try:
        exec(compile(source, called, "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:
        del sys.modules[name]
        raise BrokenModel(f"the module {called} cannot be imported: {_reason(error)}") from error
    return module


def verified(source: bytes, sha256: str) -> bytes:
    """Return the source if it is the one with that SHA-256; raises BrokenModel."""
    found = sha256_of(source)
    if found != sha256:
        raise BrokenModel(f"the module of a model was altered: its SHA-256 is {found}, its card says {sha256}")
    return source


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the module {error.name!r}, which is not installed here"
    if isinstance(error, SystemExit):
        return "it exits"
    return f"{type(error).__name__}: {error}"
