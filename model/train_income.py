"""Train the income model where it is needed: `python -m model.train_income [--directory var/models] [--force]`."""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from model.catalog import Catalog
from model.errors import BrokenModel, ModelError
from model.files import sha256_of

NAME = "income"
DIRECTORY = Path("var/models")


def ensure_trained(directory: Path, *, force: bool = False) -> str:
    """Train and publish the income model unless a usable one is there (or `force`); return one line that says so."""
    catalog = Catalog(directory, NAME)
    if not force and (line := _usable(catalog)):
        return line
    return _train(catalog)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, or 1 where the model could not be trained or written."""
    parser = argparse.ArgumentParser(prog="python -m model.train_income", description="Train the income model.")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where models lie (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="train even if there is a usable model")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(ensure_trained(options.directory, force=options.force) + "\n")
    except (ModelError, OSError) as error:
        sys.stderr.write(f"the income model could not be trained: {error}\n")
        return 1
    return 0


def _usable(catalog: Catalog) -> str | None:
    try:
        card = catalog.card()
        _check_artifact(catalog.artifact_path(), card.artifact_sha256)
    except (ModelError, OSError):
        return None
    # Training takes a second; finding out that an artifact of other libraries cannot be read would take longer.
    made_here = all(_installed(library) == made_with for library, made_with in card.libraries.items())
    return f"income {card.version} is there, trained at {card.trained_at}" if made_here else None


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _check_artifact(path: Path, sha256: str) -> None:
    if sha256_of(path.read_bytes()) != sha256:
        raise BrokenModel(f"{path} was altered")


def _train(catalog: Catalog) -> str:
    # Imported here since scikit-learn takes two seconds to load, which a start with a usable model need not wait for.
    from model import income  # noqa: PLC0415

    started = time.perf_counter()
    card = income.publish(income.train(), catalog)
    seconds = time.perf_counter() - started
    measured = f", AUC {card.metrics.roc_auc:.4f}, Brier {card.metrics.brier:.4f}" if card.metrics else ""
    return f"income {card.version} trained in {seconds:.1f} s on {card.training_rows:,} rows{measured}"


if __name__ == "__main__":
    sys.exit(main())
