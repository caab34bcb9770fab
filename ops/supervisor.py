"""Keep commands running, and leave nothing of them behind.

Every command runs in a process group of its own, led by a guard: a shell that reads a pipe whose other end only the
supervisor holds. When the supervisor dies, even of SIGKILL, the read ends and the guard kills the group, on Linux as
on macOS. A command that ends without having been told to is started again, after the rest of its group has been
killed: an orphan would hold on to a port or a lease.
"""

import asyncio
import os
import shlex
import signal
import threading
import time
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ops.output import Output

# Everything has to have ended within 15 s. gunicorn gives requests 10 s to finish (``graceful_timeout``).
GRACE_SECONDS = 10.5
LAST_GRACE_SECONDS = 2.5
_KILL_SECONDS = 1.0
# A command that has run for this long is started again at once, however often it has ended before.
STEADY_SECONDS = 10.0
RESTART_DELAYS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
_GUARD = ("/bin/sh", "-c", "trap '' HUP INT QUIT TERM; read -r _; kill -KILL 0")


class Supervisor:
    """Runs commands in process groups that never outlive it.

    Args:
        output: prints what the commands write, and what happens to them.
        env: environment of the commands; this process's own by default.
        inherited: descriptors that stay open until the last group has ended, such as that of a lock.
    """

    def __init__(self, output: Output, env: Mapping[str, str] | None = None, inherited: Sequence[int] = ()) -> None:
        self._output, self._env, self._inherited = output, env, inherited
        # Nothing is ever written: the write end closes when this process ends.
        self._lifeline, self._write_end = os.pipe()

    async def run(self, commands: Mapping[str, Sequence[str]], stop: asyncio.Event, last: str | None = None) -> None:
        """Keep the commands running until ``stop`` is set; end the one named ``last`` after all others."""
        stop_last = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(
                    self._keep_running(name, command, stop_last, LAST_GRACE_SECONDS)
                    if name == last
                    else self._keep_running(name, command, stop, GRACE_SECONDS)
                )
                for name, command in commands.items()
            }
            await asyncio.gather(*(task for name, task in tasks.items() if name != last))
            stop_last.set()

    async def run_once(
        self, name: str, command: Sequence[str], stop: asyncio.Event, grace: float = GRACE_SECONDS
    ) -> int:
        """Run a command until it ends or ``stop`` is set; return its status, below 0 for a signal.

        Raises:
            OSError: if it cannot be started.
        """
        guard = await create_subprocess_exec(
            *_GUARD, stdin=self._lifeline, stdout=DEVNULL, stderr=DEVNULL, pass_fds=self._inherited, process_group=0
        )
        try:
            # With a pipe of asyncio's, ``wait`` would also wait for the orphans that have inherited it.
            read_end, write_end = os.pipe()
            reader = threading.Thread(target=self._output.copy, args=(read_end, name), daemon=True)
            reader.start()
            with os.fdopen(write_end, "wb") as pipe:
                process = await create_subprocess_exec(
                    *command, env=self._env, stdin=DEVNULL, stdout=pipe, stderr=pipe, process_group=guard.pid
                )
            self._output.write(f"{name} started (pid={process.pid})")
            # Without its guard a group could outlive this process, and is therefore started again with a new one.
            await _wait_for_any(process.wait(), guard.wait(), stop.wait())
            if stop.is_set() and process.returncode is None:
                self._output.write(f"stopping {name}")
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
                await _wait_for_any(process.wait(), timeout=grace)
        finally:
            # macOS answers EPERM for a group of which only zombies are left.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(guard.pid, signal.SIGKILL)
            await guard.wait()
        status = await process.wait()
        # The output ends with the last process of the group, which has then released its ports and locks, too.
        await asyncio.to_thread(reader.join, _KILL_SECONDS)
        return status

    async def _keep_running(self, name: str, command: Sequence[str], stop: asyncio.Event, grace: float) -> None:
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                status = await self.run_once(name, command, stop, grace)
                ending = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            except OSError as error:
                ending = f"could not be started ({error.strerror})"
            if stop.is_set():
                break
            failures = 1 if time.monotonic() - began >= STEADY_SECONDS else failures + 1
            delay = RESTART_DELAYS[min(failures, len(RESTART_DELAYS)) - 1]
            when = f"in {delay:g} s" if delay else "at once"
            self._output.write(f"{shlex.join(command)} {ending}; starting it again {when}", name)
            await _wait_for_any(stop.wait(), timeout=delay)


async def _wait_for_any(*waits: Coroutine[Any, Any, object], timeout: float | None = None) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
