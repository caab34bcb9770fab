"""Show how far a command is: in a terminal on one line that changes, elsewhere on a new line now and then."""

import sys
import time

import click

# How often a line is printed where standard error is not a terminal.
_INTERVAL_SECONDS = 30
_ERASE_LINE = "\r\x1b[K"


class ProgressLine:
    """Shows on standard error what a command is doing."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False

    def show(self, text: str) -> None:
        """Show what is being done, in place of what was shown before."""
        if sys.stderr.isatty():
            click.echo(_ERASE_LINE + text, nl=False, err=True)
            self._shown = True
        elif time.monotonic() - self._last > _INTERVAL_SECONDS:
            self._last = time.monotonic()
            click.echo(text, err=True)

    def clear(self) -> None:
        """Erase the line, if there is one."""
        if self._shown:
            click.echo(_ERASE_LINE, nl=False, err=True)
            self._shown = False
