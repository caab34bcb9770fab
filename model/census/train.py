"""Train the census models where they are needed: ``python -m model.census.train [NAME…] [--directory DIRECTORY]``."""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from model.catalog import Catalog
from model.directory import models_directory
from model.errors import BrokenModel, ModelError
from model.files import sha256_of

NAME, FULL_NAME = "income", "income-full"
# The module that trains each model.
MODULES = {NAME: "model.census.income", FULL_NAME: "model.census.income_full"}


def ensure_trained(directory: Path, name: str = NAME, *, force: bool = False) -> str:
    """Train and publish a census model unless a usable one exists (or with ``force``); return a line that says so."""
    catalog = Catalog(directory, name)
    if not force and (line := _usable(catalog)):
        return line
    return _train(catalog)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, or 1 where a model could not be trained or written."""
    parser = argparse.ArgumentParser(prog="python -m model.census.train", description="Train the census models.")
    parser.add_argument("names", nargs="*", default=list(MODULES), help="which (default: all of them)")
    parser.add_argument(
        "--directory", type=Path, default=models_directory(), help="where the models are kept (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="train even if there are usable models")
    options = parser.parse_args(arguments)
    try:
        for name in options.names:
            sys.stdout.write(ensure_trained(options.directory, name, force=options.force) + "\n")
    except (ModelError, OSError) as error:
        sys.stderr.write(f"the census models could not be trained: {error}\n")
        return 1
    return 0


def _usable(catalog: Catalog) -> str | None:
    try:
        card = catalog.card()
        _check_artifact(catalog.artifact_path(), card.artifact_sha256)
    except (ModelError, OSError):
        return None
    # Training takes a second, less than trying to load an artifact that other versions of the libraries wrote.
    made_here = all(_installed(library) == made_with for library, made_with in card.libraries.items())
    return f"{card.name} {card.version} is there, trained at {card.trained_at}" if made_here else None


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _check_artifact(path: Path, sha256: str) -> None:
    if sha256_of(path.read_bytes()) != sha256:
        raise BrokenModel(f"{path} was altered")


def _train(catalog: Catalog) -> str:
    # Imported here since scikit-learn takes two seconds to load, which a start with a usable model does not need.
    module = import_module(MODULES[catalog.default])
    started = time.perf_counter()
    card = module.publish(module.train(), catalog)
    seconds = time.perf_counter() - started
    measured = f", AUC {card.metrics.roc_auc:.4f}, Brier {card.metrics.brier:.4f}" if card.metrics else ""
    return f"{card.name} {card.version} trained in {seconds:.1f} s on {card.training_rows:,} rows{measured}"


if __name__ == "__main__":
    sys.exit(main())
