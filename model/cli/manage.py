"""The commands for existing models: list, show, choose, remove, and move to another installation."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from model.catalog import Catalog
from model.cli.group import FILE, Session, name_argument, pass_session, trust_option, version_option
from model.errors import ModelError


@click.command("list")
@pass_session
def list_(session: Session) -> None:
    """List the models."""
    catalog, notes = session.catalog, session.synchronise()
    lines = [_line(catalog, name) for name in catalog.names()] or [f"no models in {catalog.directory}"]
    session.report([*lines, *notes])


def _line(catalog: Catalog, name: str) -> str:
    mark = " (default)" if name == catalog.default else ""
    try:
        card = catalog.card(name)
    except ModelError as error:
        return f"{name}{mark}: broken: {error}"
    return f"{name}{mark}: {card.version}, {card.kind.value.replace('_', ' ')}, trained {card.trained_at}"


@click.command()
@name_argument
@version_option
@pass_session
def show(session: Session, name: str, version: str | None) -> None:
    """Show the card of a model as JSON."""
    session.synchronise()
    card = session.catalog.card(name, version)
    document = card.model_dump(mode="json", exclude={"summary", "sample"})
    session.report([json.dumps(document, indent=2, ensure_ascii=False)])


@click.command()
@name_argument
@pass_session
def default(session: Session, name: str) -> None:
    """Use a model where a request names none."""
    session.synchronise()
    session.catalog.set_default(name)
    session.report([f"{name} is the default model", *session.share("default", name)])


@click.command()
@name_argument
@version_option
@pass_session
def remove(session: Session, name: str, version: str | None) -> None:
    """Remove a model, or one of its versions."""
    session.synchronise()
    session.catalog.remove(name, version)
    notes = session.share("remove", name, *([version] if version else []))
    session.report([f"{name} {version or ''}".strip() + " is removed", *notes])


@click.command("share")
@pass_session
def share_(session: Session) -> None:
    """Publish the models of this host that others do not have, and fetch theirs."""
    notes = session.synchronise()
    session.report(notes or [f"{len(session.catalog.names())} models are shared"])


@click.command()
@name_argument
@version_option
@click.option("--output", type=FILE, help="File to write; by default NAME-VERSION.zip.")
@pass_session
def export(session: Session, name: str, version: str | None, output: Path | None) -> None:
    """Write a model's artifact, card and schema into one zip file."""
    # Imported here since scikit-learn takes seconds to load, which the other commands do not need.
    from model.transfer import export_version  # noqa: PLC0415

    session.synchronise()
    card, file = export_version(session.catalog, name, version, output)
    session.report([f"{file} holds {card.name} {card.version}"])


@click.command("import")
@click.argument("file", type=FILE)
@trust_option("Trust a type in the file, or, without a TYPE, the whole file, its module included. May be repeated.")
@pass_session
def import_(session: Session, file: Path, trust: Sequence[str]) -> None:
    """Import a version that export wrote, and make it the current one."""
    from model.transfer import import_version  # noqa: PLC0415 - as above

    card = import_version(session.catalog, file, trust)
    notes = session.share("publish", card.name, card.version)
    session.report([f"{card.name} {card.version} is there, and is used from now on", *notes])
