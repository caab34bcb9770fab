"""A model's own Python module: stored beside its artifact, and imported by its hash.

The module is imported under a name made of its SHA-256, and the artifact refers to its classes by that name, so that
the code of one version of a model is never used for another.
"""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

from model.errors import BrokenModel
from model.files import sha256_of

PREFIX = "scoreline_module_"
_DIGITS = 16
_ROOT = Path(__file__).parent.parent
_TRY = "import sys; from model.custom_module import import_module; import_module(sys.stdin.buffer.read())"


def module_name(source: bytes) -> str:
    """Return the name under which a module with this source is imported."""
    return f"{PREFIX}{sha256_of(source)[:_DIGITS]}"


def import_module(source: bytes, called: str = "module.py") -> ModuleType:
    """Import a module from its source, once per process; it runs with the rights of this process.

    Raise BrokenModel where it cannot be compiled, raises, exits, or needs a module that is not installed.
    """
    name = module_name(source)
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = called
    # Before it runs: dataclasses and pickles look a class's module up by its name.
    sys.modules[name] = module
    try:
        exec(compile(source, called, "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:
        # Half a module must not be found by the next attempt.
        del sys.modules[name]
        raise BrokenModel(f"the module {called} cannot be imported: {_reason(error)}") from error
    return module


def check_in_child(source: bytes, called: str) -> None:
    """Import a module in a child process first: one that ends its process would end the command without a message.

    Raise BrokenModel where the process ends before the end of the module. Exceptions of the module are ignored here;
    importing it raises them again.
    """
    command = [sys.executable, "-c", f"{_TRY}; sys.stderr.write('imported')"]
    child = subprocess.run(command, cwd=_ROOT, input=source, capture_output=True, check=False)  # noqa: S603 - our own
    # A traceback counts as well: the import in this process raises the same again.
    if not child.stderr:
        raise BrokenModel(f"the module {called} ends the process that imports it")


def verified(source: bytes, sha256: str) -> bytes:
    """Return the source if it has that SHA-256; raise BrokenModel otherwise."""
    actual = sha256_of(source)
    if actual != sha256:
        raise BrokenModel(f"the module of a model was altered: its SHA-256 is {actual}, its card says {sha256}")
    return source


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the module {error.name!r}, which is not installed here"
    if isinstance(error, SystemExit):
        return "it exits"
    return f"{type(error).__name__}: {error}"
