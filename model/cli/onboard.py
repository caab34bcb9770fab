"""``add`` and ``check``: add a pipeline as a model, and compare a model with its pipeline again.

What they need is imported inside the commands, since scikit-learn takes seconds to load, which ``--help`` and the other
commands do not need.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.card import Card
from model.cli.group import (
    FILE,
    Function,
    Session,
    name_argument,
    pass_session,
    split_names,
    trust_option,
    version_option,
)
from model.errors import RefusedModel

if TYPE_CHECKING:
    from model.onboarding.add import AddModelResult


def _dtypes_option(function: Function) -> Function:
    return click.option(
        "--dtypes",
        metavar="COLUMN=DTYPE,…",
        callback=split_names,
        help="The pandas dtypes of columns in training, where a CSV file does not show them; for example zip=str.",
    )(function)


@click.command()
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Name of the model in requests and addresses.")
@click.option("--data", type=FILE, required=True, help="The training data: CSV, Parquet, Arrow or Feather.")
@click.option(
    "--target",
    "targets",
    metavar="COLUMN,…",
    callback=split_names,
    help="The column of the data that is predicted; several with commas between them.",
)
@click.option("--test", type=FILE, help="Records that the pipeline has never seen, to measure it on.")
@click.option("--schema", type=FILE, help="An edited schema.toml, used instead of what the data shows.")
@_dtypes_option
@click.option("--classes", metavar="A,B,…", callback=split_names, help="Names of the classes of an encoded target.")
@click.option("--module", type=FILE, help="The Python file with the pipeline's own classes and functions.")
@click.option("--key", help="Which entry of a dictionary holds the pipeline.")
@trust_option(
    "Trust a type in a skops file, or, without a TYPE, the whole file: reading a pickle runs whatever its maker put "
    "into it. May be repeated."
)
@click.option(
    "--trust-version", is_flag=True, help="Take a pipeline of another scikit-learn version if its answers are right."
)
@pass_session
def add(session: Session, /, dtypes: Sequence[str], **options: Any) -> None:
    """Add a fitted scikit-learn pipeline as a model.

    FILE is a .skops file, a booster's own format, an MLflow folder, ONNX or, with --trust, a pickle.
    """
    from model.onboarding.add import AddModelRequest, add_model  # noqa: PLC0415 - see above

    request = AddModelRequest(dtypes=_parse_dtypes(dtypes), **options)
    result = add_model(request, session.catalog, session.progress.show)
    card = result.card
    lines = [f"{_what_happened(result)}: {_summary(card)}"]
    if result.replaced not in (None, card.version):
        lines.append(f"  the former version, {result.replaced}, is kept")
    if card.proof:
        lines += _proof_lines(card.proof.rows, card.proof.rejected)
    lines += _metrics_lines(card)
    lines += [f"  note: {note}" for note in result.notes]
    lines += session.share("publish", card.name, card.version)
    session.report([*lines, f"  schema: {result.schema}"])


@click.command()
@name_argument
@version_option
@click.option("--data", type=FILE, required=True, help="Records: CSV, Parquet, Arrow or Feather.")
@_dtypes_option
@pass_session
def check(session: Session, name: str, version: str | None, data: Path, dtypes: Sequence[str]) -> None:
    """Check that a model answers here as its own pipeline does."""
    from model.onboarding.recheck import recheck  # noqa: PLC0415 - see above

    session.synchronise()
    card, rows, rejected = recheck(session.catalog, name, version, data, _parse_dtypes(dtypes), session.progress.show)
    session.report([f"{card.name} {card.version}", *_proof_lines(rows, rejected)])


def _what_happened(result: "AddModelResult") -> str:
    model = f"{result.card.name} {result.card.version}"
    if result.replaced is None:
        return f"{model} is added"
    if result.replaced == result.card.version:
        return f"{model} is the current version already, and its predictions are unchanged"
    return f"{model} is now the current version"


def _summary(card: Card) -> str:
    kind = card.kind.value.replace("_", " ")
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{article} {kind} of {len(card.features)} features, {card.training_rows:,} rows"


def _proof_lines(rows: int, rejected: int) -> list[str]:
    lines = [f"  checked: {rows:,} rows, every answer is the pipeline's own"]
    if rejected:
        lines.append(f"  not compared: {rejected:,} rows that its written schema rejects")
    return lines


def _metrics_lines(card: Card) -> list[str]:
    if card.metrics is None:
        return []
    values = card.metrics.model_dump(exclude_none=True, exclude={"rows", "measured_on", "intervals"})
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return [f"  {metrics} on {card.metrics.rows:,} {card.metrics.measured_on}"]


def _parse_dtypes(pairs: Sequence[str]) -> dict[str, str]:
    """Return dtypes by column; the last ``=`` divides them, since a column's name may hold others."""
    parted = [pair.rpartition("=") for pair in pairs]
    if wrong := [dtype for column, _, dtype in parted if not column]:
        raise RefusedModel(f"--dtypes {wrong[0]!r} is not column=dtype")
    return {column: dtype for column, _, dtype in parted}
