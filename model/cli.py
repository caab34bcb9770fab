"""The commands of ``python -m model``; every refusal is one line, with nothing half done."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from model.card import Card
from model.catalog import Catalog
from model.directory import models_directory
from model.errors import ModelError, RefusedModel

EVERYTHING = "everything"
# Where nobody watches a terminal, that often a line of the log says how far it is.
_PROGRESS_SECONDS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, or 1 after one line that says what was wrong."""
    options = _parser().parse_args(arguments)
    catalog = Catalog(options.directory)
    _progress.begin()
    try:
        lines = options.run(options, catalog)
        _progress.clear()
        for line in lines:
            sys.stdout.write(line + "\n")
    except (ModelError, OSError) as error:
        _progress.clear()
        sys.stderr.write(f"scoreline: {' '.join(str(error).split())}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model", description="The models of this installation.")
    parser.add_argument(
        "--directory", type=Path, default=models_directory(), help="where the models lie (default: %(default)s)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_options(_command(commands, "add", "add a fitted scikit-learn pipeline as a model", _add))
    _command(commands, "list", "list the models", _list)
    check = _command(commands, "check", "check that a model answers here as its own pipeline does", _check)
    check.add_argument("name", help="name of the model")
    check.add_argument("--version", help="a version that is not the current one")
    check.add_argument("--data", type=Path, required=True, help="records: CSV, Parquet, Arrow or Feather")
    _add_dtypes(check)
    for name, help_, run in (
        ("show", "show the card of a model", _show),
        ("default", "use a model where a request names none", _default),
        ("remove", "remove a model, or one of its versions", _remove),
        ("export", "write a model's artifact, card and schema into one zip file", _export),
    ):
        command = _command(commands, name, help_, run)
        command.add_argument("name", help="name of the model")
        if name != "default":
            command.add_argument("--version", help="a version that is not the current one")
        if name == "export":
            command.add_argument("--output", type=Path, help="file to write (default: NAME-VERSION.zip)")
    command = _command(commands, "import", "take in a version that export wrote, and use it", _import)
    command.add_argument("file", type=Path, help="the zip file")
    command.add_argument(
        "--trust", nargs="?", action="append", default=[], const=EVERYTHING, metavar="TYPE",
        help="trust a type in it, or without a TYPE the whole file, its module included",
    )  # fmt: skip
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    help_: str,
    run: Callable[[argparse.Namespace, Catalog], list[str]],
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_, description=help_.capitalize() + ".")
    command.set_defaults(run=run)
    return command


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path,
        help="the pipeline: a .skops file, a booster's own format, an MLflow folder, ONNX, or with --trust a pickle",
    )  # fmt: skip
    command.add_argument("--name", required=True, help="name of the model, as requests and addresses have it")
    command.add_argument("--data", type=Path, required=True, help="the training data: CSV, Parquet, Arrow or Feather")
    command.add_argument("--target", help="the column of the data that is predicted; several with commas between")
    command.add_argument("--test", type=Path, help="records that the pipeline has never seen, to measure it on")
    command.add_argument("--schema", type=Path, help="an edited schema.toml, instead of what the data shows")
    _add_dtypes(command)
    command.add_argument("--classes", metavar="A,B,…", default="", help="names of the classes of an encoded target")
    command.add_argument("--module", type=Path, help="the Python file with the pipeline's own classes and functions")
    command.add_argument("--key", help="which entry of a dict holds the pipeline")
    command.add_argument(
        "--trust", nargs="?", action="append", default=[], const=EVERYTHING, metavar="TYPE",
        help="trust a type in a skops file, or without a TYPE the whole file: reading a pickle runs whatever its maker "
        "put into it",
    )  # fmt: skip
    command.add_argument(
        "--trust-version", action="store_true", help="take a pipeline of another scikit-learn if its answers are right"
    )


def _add_dtypes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dtypes", metavar="COLUMN=DTYPE,…", default="",
        help="what pandas' dtypes columns had in training where a CSV file does not show it, such as zip=str",
    )  # fmt: skip


def _add(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    # Imported here since scikit-learn takes seconds to load, which the other commands need not wait for.
    from model.onboarding.add import AddModelRequest, add_model  # noqa: PLC0415

    request = AddModelRequest(
        file=options.file, name=options.name, data=options.data, targets=_names(options.target), test=options.test,
        schema=options.schema, trust=tuple(options.trust), trust_version=options.trust_version,
        dtypes=_pairs(options.dtypes), classes=_names(options.classes), module=options.module, key=options.key,
    )  # fmt: skip
    added = add_model(request, catalog, _progress.show)
    card = added.card
    kind = card.kind.value.replace("_", " ")
    article = "an" if kind[0] in "aeiou" else "a"
    what = f"{article} {kind} of {len(card.features)} features, {card.training_rows:,} rows"
    lines = [f"{card.name} {card.version} is added: {what}"]
    if card.proof:
        lines += _checked(card.proof.rows, card.proof.rejected)
    lines += [f"  {line}" for line in _measured(card)]
    lines += [f"  note: {note}" for note in added.notes]
    return [*lines, f"  schema: {added.schema}"]


def _check(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    from model.onboarding.recheck import recheck  # noqa: PLC0415 - as above

    card, rows, rejected = recheck(
        catalog, options.name, options.version, options.data, _pairs(options.dtypes), _progress.show
    )
    return [f"{card.name} {card.version}", *_checked(rows, rejected)]


def _checked(rows: int, rejected: int) -> list[str]:
    lines = [f"  checked: {rows:,} rows, every answer is the pipeline's own"]
    if rejected:
        lines.append(f"  not compared: {rejected:,} rows that its written schema rejects")
    return lines


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _pairs(text: str) -> dict[str, str]:
    pairs = [name.rpartition("=") for name in _names(text)]
    if wrong := [dtype for name, _, dtype in pairs if not name]:
        raise RefusedModel(f"--dtypes {wrong[0]!r} is not column=dtype")
    return {name: dtype for name, _, dtype in pairs}


class _ProgressLine:
    """How far a command is: a line that changes in a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False

    def begin(self) -> None:
        """Count the time from now on."""
        self._last = time.monotonic()

    def show(self, text: str) -> None:
        """Say what is being done."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._shown = True
        elif time.monotonic() - self._last > _PROGRESS_SECONDS:
            self._last = time.monotonic()
            sys.stderr.write(f"{text}\n")

    def clear(self) -> None:
        """Make room for what is said next."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = False


_progress = _ProgressLine()


def _measured(card: Card) -> list[str]:
    if card.metrics is None:
        return []
    figures = card.metrics.model_dump(exclude_none=True, exclude={"rows", "measured_on", "intervals"})
    words = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return [f"{words} on {card.metrics.rows:,} {card.metrics.measured_on}"]


def _list(_options: argparse.Namespace, catalog: Catalog) -> list[str]:
    lines = [_line(catalog, name) for name in catalog.names()]
    return lines or [f"no models in {catalog.directory}"]


def _line(catalog: Catalog, name: str) -> str:
    mark = " (default)" if name == catalog.default else ""
    try:
        card = catalog.card(name)
    except ModelError as error:
        return f"{name}{mark}: broken: {error}"
    return f"{name}{mark}: {card.version}, {card.kind.value.replace('_', ' ')}, trained {card.trained_at}"


def _show(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    card = catalog.card(options.name, options.version)
    return [json.dumps(card.model_dump(mode="json", exclude={"summary", "sample"}), indent=2, ensure_ascii=False)]


def _default(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    catalog.set_default(options.name)
    return [f"{options.name} is the default model"]


def _remove(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    catalog.remove(options.name, options.version)
    return [f"{options.name} {options.version or ''}".strip() + " is removed"]


def _export(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    from model.transfer import export_version  # noqa: PLC0415 - as above

    card, output = export_version(catalog, options.name, options.version, options.output)
    return [f"{output} holds {card.name} {card.version}"]


def _import(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    from model.transfer import import_version  # noqa: PLC0415 - as above

    card = import_version(catalog, options.file, options.trust)
    return [f"{card.name} {card.version} is there, and is used from now on"]
