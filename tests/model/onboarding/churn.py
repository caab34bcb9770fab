"""What tests of ``model add`` share: the command's arguments, and the models that it made."""

from collections.abc import Callable
from pathlib import Path

from model.catalog import Catalog

Run = Callable[..., tuple[int, str, str]]

ADD = ("add", "churn.skops", "--name", "churn", "--data", "train.csv", "--target", "churned")


def catalog_of(folder: Path) -> Catalog:
    """The models that the command made in a folder."""
    return Catalog(folder / "models")
