"""The commands of ``python -m model``. Every refusal is one line, with nothing left half done."""

from model.cli.group import cli
from model.cli.manage import default, export, import_, list_, remove, share_, show
from model.cli.onboard import add, check

__all__ = ["cli"]

for command in (add, list_, check, show, default, remove, export, import_, share_):
    cli.add_command(command)
