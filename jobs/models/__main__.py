"""Share models with other hosts: ``python -m jobs.models sync|publish|fetch|default|remove``.

``python -m model`` and the workers run it in a process of its own. Without ``SCORELINE_REDIS_URL`` there are no other
hosts, and it does nothing. The exit status is 3 for a refusal, 4 where the store does not answer, and 5 where it has
no such version, after one line.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from jobs.errors import DamagedBlob, NotShared, SharingRefused, StorageUnavailable, StoreFull
from jobs.logs import configure_logging, describe
from jobs.models.folder import ModelFolder
from jobs.models.journal import tell_changes
from jobs.models.registry import ModelRegistry
from jobs.models.sharing import ModelSharing
from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.outbox import Outbox

log = structlog.stdlib.get_logger(__name__)

REFUSED, UNAVAILABLE, UNKNOWN = 3, 4, 5
"""Exit statuses; an error that was not foreseen has 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jobs.models", description="Share models with other hosts.")
    parser.add_argument("--directory", type=Path, help="folder of the models; by default that of the service")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sync", help="publish and fetch what is missing")
    for command, version in (("publish", "?"), ("fetch", None), ("remove", "?"), ("default", "")):
        sub = commands.add_parser(command)
        sub.add_argument("name")
        if version != "":
            sub.add_argument("version", nargs=version)
    options = parser.parse_args(arguments)
    settings = get_settings()
    if settings.redis_url is None:
        return 0
    configure_logging(settings, "models")
    try:
        with connect(settings) as redis:
            folder = ModelFolder(options.directory or settings.models_dir)
            try:
                _run(ModelSharing(ModelRegistry(redis, settings), folder, settings.trusted_type_names), options)
            finally:
                # Also of a version that cannot be shared: it was added here.
                _tell_changes(folder, Outbox(redis, settings.full_ratio))
    except NotShared as error:
        sys.stderr.write(f"{error}\n")
        return UNKNOWN
    except (SharingRefused, DamagedBlob) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except (RedisError, StorageUnavailable, StoreFull) as error:
        sys.stderr.write(f"the store does not take part: {type(error).__name__}: {error}".partition("\n")[0] + "\n")
        return UNAVAILABLE
    except OSError as error:
        sys.stderr.write(f"the models of this host cannot be changed: {error}\n")
        return UNAVAILABLE
    return 0


def _tell_changes(folder: ModelFolder, outbox: Outbox) -> None:
    """Tell the recorder; what fails waits in the journal for the next command, and this one ends as it would have."""
    try:
        tell_changes(folder, outbox)
    except (OSError, RedisError) as error:
        log.warning("changes of models not told", error=describe(error))


def _run(sharing: ModelSharing, options: argparse.Namespace) -> None:
    match options.command:
        case "sync":
            sharing.synchronise()
        case "publish":
            sharing.publish(options.name, options.version)
        case "fetch":
            sharing.fetch(options.name, options.version)
        case "default":
            sharing.registry.set_default(options.name)
        case "remove":
            sharing.registry.remove(options.name, options.version)


if __name__ == "__main__":
    sys.exit(main())
