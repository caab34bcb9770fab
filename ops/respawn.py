"""Keeps a command running: ``python -m ops.respawn -- COMMAND [ARGUMENT…]``.

A command that ends without having been asked to is started again, and what its processes left behind is ended
first, so that an orphan cannot hold on to a port or a lease. SIGTERM and SIGINT are passed on as SIGTERM.
"""

import argparse
import ctypes
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

# Celery's soft shutdown may take 10 s; what has not ended by then is killed.
GRACE_SECONDS = 11.0
# A command that has lived this long is started again at once, however often it has ended before.
STEADY_SECONDS = 10.0
DELAYS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)

_PR_SET_CHILD_SUBREAPER = 36
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_GUARD = "trap '' HUP INT QUIT TERM; read -r _; kill -KILL 0"


class ProcessGroup:
    """A command in a process group of its own, which never outlives the process that started it.

    The group's leader is a shell that reads a pipe held open by this process alone. When this process dies, even
    of SIGKILL, the read ends and the shell kills the group, on Linux as on macOS.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, output: int | None = None) -> None:
        self._guard = subprocess.Popen(  # noqa: S603 - a constant
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        try:
            self.command = subprocess.Popen(  # noqa: S603 - the commands of the Procfile or of the caller
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=self._guard.pid,
            )
        except OSError:
            self._end_guard()
            raise

    def end(self) -> None:
        """Kill what is left of the group, and wait until it has gone."""
        self._kill()
        self.command.wait()
        self._end_guard()
        deadline = time.monotonic() + 2.0
        while self._exists() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _end_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def _kill(self) -> None:
        # macOS answers EPERM for a group of which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)

    def _exists(self) -> bool:
        with suppress(ChildProcessError):
            while os.waitpid(-self._guard.pid, os.WNOHANG) != (0, 0):
                pass
        try:
            os.killpg(self._guard.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def adopt_orphans() -> None:
    """Let this process reap its descendants' orphans, where the system can do that (Linux).

    Their usual heir, the first process of the system, may be slow at it or, in a container, never do it. Until
    they have been reaped, nobody can tell whether they still hold on to a port.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Supervisor:
    """Runs a command again and again until it is told to stop.

    Args:
        command: the command and its arguments.
        env: its environment; this process's own by default.
        output: file descriptor for its output; this process's own by default.
        grace: seconds that the command has to end after SIGTERM, before it is killed.
        lifeline: read end of a pipe whose closing means "stop", as SIGTERM does.
        say: takes one line for each start that nobody asked for.
        started: takes the process id at each start.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        output: int | None = None,
        lifeline: int | None = None,
        grace: float = GRACE_SECONDS,
        say: Callable[[str], None] | None = None,
        started: Callable[[int], None] | None = None,
    ) -> None:
        self._command = command
        self._env = env
        self._output = output
        self._lifeline = lifeline
        self._grace = grace
        self._say = say or _to_stderr
        self._started = started or (lambda pid: None)
        self._stopping = False
        self._wakeup = -1

    def run(self) -> None:
        """Keep the command running until SIGTERM, SIGINT or the end of the lifeline. Main thread only."""
        failures = 0
        adopt_orphans()
        with self._signals():
            while not self._stopping:
                began = time.monotonic()
                ending = self._run_once()
                if self._stopping:
                    break
                failures = 1 if time.monotonic() - began >= STEADY_SECONDS else failures + 1
                delay = DELAYS[min(failures, len(DELAYS)) - 1]
                when = f"in {delay:g} s" if delay else "at once"
                self._say(f"{shlex.join(self._command)} {ending}; starting it again {when}")
                self._wait(delay, lambda: False)

    def _run_once(self) -> str:
        """Run the command to its end, and say how it ended."""
        try:
            group = ProcessGroup(self._command, self._env, self._output)
        except OSError as error:
            return f"could not be started ({error.strerror})"
        try:
            self._started(group.command.pid)
            self._wait(None, lambda: group.command.poll() is not None)
            if self._stopping:
                group.command.terminate()
                self._wait_until_ended(group.command, self._grace)
        finally:
            group.end()
        status = group.command.returncode
        return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"

    def _wait(self, seconds: float | None, over: Callable[[], bool]) -> None:
        """Wait for the time to pass, for ``over``, or until told to stop, whichever comes first."""
        deadline = None if seconds is None else time.monotonic() + seconds
        sources = [self._wakeup] if self._lifeline is None else [self._wakeup, self._lifeline]
        while not self._stopping and not over():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            ready, _, _ = select.select(sources, [], [], left)
            if self._lifeline in ready or self._stop_signal_came():
                self._stopping = True

    def _stop_signal_came(self) -> bool:
        try:
            return any(number in _STOP_SIGNALS for number in os.read(self._wakeup, 1024))
        except BlockingIOError:
            return False

    @staticmethod
    def _wait_until_ended(process: subprocess.Popen[bytes], seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals arrive as bytes in a pipe, where ``select`` sees them and none is missed between two looks."""
        self._wakeup, write_end = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write_end, False)
        earlier = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        # They stay afterwards, so that a second SIGTERM does not break off the end.
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, _ignore_signal)
        # Whoever started us may have kept them back until we could take them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        try:
            yield
        finally:
            signal.set_wakeup_fd(earlier)
            os.close(write_end)
            os.close(self._wakeup)


def _ignore_signal(_number: int, _frame: object) -> None:
    """Take a signal that is dealt with elsewhere; unlike SIG_IGN, a command does not inherit this."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the command line's command until told to stop; the exit status is then 0."""
    parser = argparse.ArgumentParser(prog="python -m ops.respawn", description=__doc__)
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    Supervisor(parser.parse_args().command).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
