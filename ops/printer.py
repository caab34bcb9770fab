"""How the launcher prints what its processes write: for people with a prefix, for programs as one object a line."""

import sys
from datetime import UTC, datetime

import orjson
from honcho.printer import Message, Printer


class LinePrinter(Printer):  # type: ignore[misc] # honcho has no types
    """Time and process before each line, in colour where there is one."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def say(self, line: str) -> None:
        """Print a line of the launcher's own as it is."""
        print(line, flush=True)


class JsonPrinter(LinePrinter):
    """What is an object already stays as it is; every other line, a server's or a library's, becomes one."""

    def say(self, line: str) -> None:
        """Print a line of the launcher's own."""
        self._print(line, "launcher")

    def write(self, message: Message) -> None:
        """Print what a process has written."""
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            self._print(line, message.name)

    @staticmethod
    def _print(line: str, role: str) -> None:
        if line.startswith("{") and line.endswith("}"):
            print(line, flush=True)
        elif line.strip():
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            document = {"time": now, "level": "info", "event": line.strip(), "logger": "output", "role": role}
            print(orjson.dumps(document).decode(), flush=True)
