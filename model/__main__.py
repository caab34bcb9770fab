"""Run the command line: ``python -m model add|list|check|show|default|remove|export|import|share``."""

from model.cli import cli

cli(prog_name="python -m model")
