"""The command group, what its commands share, and how a refusal is reported."""

import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from model.catalog import Catalog
from model.cli.progress import ProgressLine
from model.cli.sharing import share
from model.directory import default_model, models_directory
from model.errors import ModelError
from model.trust import EVERYTHING

Function = TypeVar("Function", bound=Callable[..., Any])

_ROOT = Path(__file__).parent.parent.parent

FILE = click.Path(path_type=Path)
"""A file that the command opens itself, since its error says more than that a path does not exist."""


class Refusal(click.ClickException):
    """An error of the model package as the command line reports it: one line on standard error, exit status 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error as one line, whatever line breaks its text has."""
        click.echo(f"scoreline: {' '.join(self.message.split())}", file=file, err=True)


class ModelGroup(click.Group):
    """Lists its commands in the order in which they were added, and turns what they raise into refusals."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands as ``--help`` lists them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command.

        What libraries warn about is not shown: the pipeline is given odd values on purpose.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return super().invoke(ctx)
        except (ModelError, OSError) as error:
            raise Refusal(str(error)) from error
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            # Pipelines and tables are others' and may fail anywhere.
            raise Refusal(f"an unexpected {type(error).__name__} {_place_of(error)}: {error}") from error


@dataclass(frozen=True, slots=True)
class Session:
    """What every command uses: the models, and the line that shows its progress."""

    catalog: Catalog
    progress: ProgressLine = field(default_factory=ProgressLine)

    def synchronise(self) -> list[str]:
        """Bring the models here and those of other hosts together; return notes."""
        self.progress.show("asking the store for the models of other hosts")
        reason = share(self.catalog.directory, "sync")
        return [f"  note: models of other hosts are not taken into account: {reason}"] if reason else []

    def share(self, *command: str) -> list[str]:
        """Tell other hosts of a change; return notes."""
        reason = share(self.catalog.directory, *command)
        later = "run `python -m model share` later"
        return [f"  note: other hosts do not know of this: {reason}; {later}"] if reason else []

    def report(self, lines: Sequence[str]) -> None:
        """Print a command's result in place of its progress."""
        self.progress.clear()
        for line in lines:
            click.echo(line)


def _place_of(error: Exception) -> str:
    """Return where in this program an exception came from."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_ROOT)
    ]
    own = [frame for frame in frames if ".venv" not in Path(frame.filename).relative_to(_ROOT).parts]
    return (
        f"in {Path(own[-1].filename).relative_to(_ROOT)}, line {own[-1].lineno}" if own else "in no file of Scoreline"
    )


pass_session = click.make_pass_decorator(Session)


@click.group(cls=ModelGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--directory",
    type=FILE,
    default=models_directory,
    help="Where the models are kept; by default the folder models in SCORELINE_DATA_DIR, or in var.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Manage the models of this installation."""
    context.obj = Session(Catalog(directory, default_model()))
    # Before a refusal, too: click closes the context before it shows the error.
    context.call_on_close(context.obj.progress.clear)


def name_argument(function: Function) -> Function:
    """Add the argument NAME."""
    return click.argument("name")(function)


def version_option(function: Function) -> Function:
    """Add ``--version``."""
    return click.option("--version", help="Another version than the current one.")(function)


def trust_option(help_: str) -> Callable[[Function], Function]:
    """Add ``--trust``, which may be repeated, and whose value is ``EVERYTHING`` where no TYPE follows it."""
    return click.option("--trust", is_flag=False, flag_value=EVERYTHING, multiple=True, metavar="[TYPE]", help=help_)


def split_names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas between them; a callback of options."""
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())
