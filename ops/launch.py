"""Start all of Scoreline on one machine: ``python -m ops.launch``, which is what ``make run`` does."""

import argparse
import asyncio
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from jobs.settings import Settings
from ops.embedded import CannotStart
from ops.output import Output
from ops.readiness import announce
from ops.start_checks import (
    check_address,
    check_storage,
    check_store,
    check_tls,
    load_settings,
    lock_data_folder,
    upgrade_database,
)
from ops.supervisor import Supervisor

STORE = "store"
DEFAULT_MODEL = "income"
_TRAINING, _MODELS = "training", "models"
_TRAIN = (sys.executable, "-m", "model.census.train", "--directory")
_SYNC = (sys.executable, "-m", "jobs.models", "sync")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A process is meant to use one core; the mathematics libraries would each start a thread for every core.
_DEFAULTS = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Run Scoreline until SIGINT or SIGTERM, then return 0; return 1 after one line if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m ops.launch", description="Starts all of Scoreline.")
    parser.add_argument("--procfile", type=Path, default=Path("Procfile"), help="what to start (default: Procfile)")
    procfile = parser.parse_args(arguments).procfile
    # What it and its processes write is for the owner alone.
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        settings = load_settings()
        commands = read_commands(procfile, settings)
        lock = lock_data_folder(settings)
        check_address(settings)
        check_tls(settings)
        check_store(settings)
        check_storage(settings)
        upgrade_database()
        return asyncio.run(_run(settings, commands, lock))
    except CannotStart as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1


def read_procfile(path: Path) -> dict[str, list[str]]:
    """Return the commands of a Procfile by name.

    Raises:
        CannotStart: if it cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror}") from error
    matches = (re.fullmatch(r"([\w-]+):\s*(.+)", line) for line in lines)
    return {match[1]: shlex.split(match[2]) for match in matches if match}


def read_commands(path: Path, settings: Settings) -> dict[str, list[str]]:
    """Return what is to be run: a store of the user's own takes the place of the one in the Procfile."""
    commands = read_procfile(path)
    return {name: command for name, command in commands.items() if name != STORE or settings.redis_url is None}


async def _run(settings: Settings, commands: dict[str, list[str]], lock: int) -> int:
    """Run the commands until told to stop; return the exit status."""
    stop = asyncio.Event()
    for number in _STOP_SIGNALS:
        # ``nohup`` has SIGHUP ignored.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    path = os.pathsep.join(filter(None, [str(Path(sys.executable).parent), os.environ.get("PATH")]))
    with closing(Output([*commands, _TRAINING, _MODELS], settings.log_format == "json")) as output:
        tell = partial(output.write, prefix=False)
        supervisor = Supervisor(output, {**_DEFAULTS, **os.environ, "PATH": path}, [lock])
        training = [*_TRAIN, str(settings.models_dir)]
        if settings.redis_url is not None:
            await supervisor.run_once(_MODELS, _SYNC, stop)
        background_training = None
        if not (settings.models_dir / DEFAULT_MODEL / "current").exists():
            tell("Training the model, once")
            status = await supervisor.run_once(_TRAINING, [*training, DEFAULT_MODEL], stop)
            if stop.is_set():
                return 0
            if status:
                raise CannotStart(f"training the model failed with status {status}")
            # The other model that ships is trained while the service starts, which goes first.
            background_training = asyncio.create_task(_train_others(supervisor, training, settings, stop))
        threading.Thread(target=announce, args=(settings, tell), daemon=True).start()
        await supervisor.run(commands, stop, last=STORE)
        if background_training is not None:
            await asyncio.wait([background_training])
    return 1 if output.broken else 0


async def _train_others(
    supervisor: Supervisor, training: Sequence[str], settings: Settings, stop: asyncio.Event
) -> None:
    """Train the models that are missing, and have other hosts fetch rather than train them."""
    await supervisor.run_once(_TRAINING, ["nice", "-n", "19", *training], stop)
    if settings.redis_url is not None and not stop.is_set():
        await supervisor.run_once(_MODELS, _SYNC, stop)


if __name__ == "__main__":
    sys.exit(main())
