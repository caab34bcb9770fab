"""A TCP proxy that can break off: ``python -m tests.chaos.proxy PORT TARGET``; SIGUSR1 resets all connections.

TARGET is a port of this machine or the path of a Unix socket.
"""

import asyncio
import signal
import socket
import struct
import sys
from contextlib import suppress

_BLOCK = 65536
# Closing a socket that lingers for no time sends a reset instead of what is left.
_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """Connections to one target, each passed on as it is."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, port: int) -> None:
        """Take connections until told to stop."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, self.reset_all)
        loop.add_signal_handler(signal.SIGTERM, over.set)
        async with await asyncio.start_server(self.pass_on, "127.0.0.1", port):
            await over.wait()

    def reset_all(self) -> None:
        """Break off every connection, on both sides, without a word."""
        for writer in self._open:
            connection = writer.get_extra_info("socket")
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.isdecimal():
            return await asyncio.open_connection("127.0.0.1", int(self._target))
        return await asyncio.open_unix_connection(self._target)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until a side ends it."""
        try:
            there_reader, there_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, there_writer}
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            self._open -= {writer, there_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(Proxy(sys.argv[2]).serve(int(sys.argv[1])))
