"""Run one command under the supervisor until SIGTERM or SIGINT: ``python -m tests.supervise COMMAND [ARGUMENT…]``."""

import asyncio
import signal
import sys
from contextlib import closing

from ops.output import Output
from ops.supervisor import Supervisor


async def supervise(command: list[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with closing(Output(["command"])) as output:
        await Supervisor(output).run({"command": command}, stop)


if __name__ == "__main__":
    asyncio.run(supervise(sys.argv[1:]))
