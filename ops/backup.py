"""Back up the data folder of a running service: ``python -m ops.backup FOLDER`` makes a copy to start from.

The embedded server only appends to the files named in its manifest, and replaces the manifest when it begins new files.
So if the manifest is the same before and after copying, the copy holds everything acknowledged before it began.
"""

import argparse
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from jobs.blobs.address import without_secrets
from jobs.errors import JobsError
from jobs.settings import Settings, get_settings
from ops.embedded import CannotStart, data_folder

_LOG = Path("valkey", "appendonlydir")
_MANIFEST = "appendonly.aof.manifest"
_MODELS = "models"
_DATABASE = "scoreline.db"
_TRIES = 10


class CannotBackUp(JobsError):
    """Raised when there is nothing to copy, or no place to copy it to; the message says what to change."""


def back_up(settings: Settings, target: Path, *, without_database: bool = False, without_objects: bool = False) -> int:
    """Copy jobs, models and the database into a new folder; return the size of the append-only files in bytes.

    Objects in an object store are never copied; ``without_objects`` says that the caller knows that.

    Raises:
        CannotBackUp: there is no data, some of it is elsewhere, or the target exists.
    """
    if settings.redis_url is not None:
        raise CannotBackUp(
            "SCORELINE_REDIS_URL names the server that holds the jobs: back that server up by its own means, "
            f"and copy the folder {settings.models_dir} as well"
        )
    if settings.storage_url is not None and not without_objects:
        raise CannotBackUp(
            f"the bytes of jobs lie in {without_secrets(settings.storage_url)} (SCORELINE_STORAGE_URL), which is not "
            "copied: add --without-objects to copy everything else, and take a snapshot of the object store afterwards"
        )
    source = data_folder(settings)
    own = settings.model_copy(update={"database_url": None}).database_location
    if settings.database_location != own and not without_database:
        raise CannotBackUp(
            "SCORELINE_DATABASE_URL names a database outside the data folder, with the history and the users: back it "
            "up by its own means, and the rest with --without-database"
        )
    if target.exists():
        raise CannotBackUp(f"{target} exists already: name a new folder")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if (source / _MODELS).is_dir():
        shutil.copytree(source / _MODELS, part / _MODELS)
    size = _copy_log(source / _LOG, part / _LOG)
    # After the log: what the recorder moves meanwhile is then in both copies, and not in neither.
    _copy_database(source / _DATABASE, part / _DATABASE)
    part.rename(target)
    return size


def _copy_database(source: Path, target: Path) -> None:
    """Copy the history, if it is a SQLite file of the data folder, as it is at one moment."""
    if not source.exists():
        return
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)


def _copy_log(source: Path, target: Path) -> int:
    for _ in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        manifest = _read_manifest(source)
        try:
            for name in _names(manifest):
                shutil.copyfile(source / name, target / name)
        except FileNotFoundError:
            continue
        if _read_manifest(source) == manifest:
            (target / _MANIFEST).write_text(manifest)
            return sum(path.stat().st_size for path in target.iterdir())
    raise CannotBackUp(f"the files in {source} kept changing while they were copied: try again later")


def _read_manifest(folder: Path) -> str:
    try:
        return (folder / _MANIFEST).read_text()
    except FileNotFoundError:
        raise CannotBackUp(f"there are no jobs in {folder}: SCORELINE_DATA_DIR names the data folder") from None


def _names(manifest: str) -> list[str]:
    """Return the files named in the manifest (``file NAME seq NUMBER type b|i|h``), without those to be deleted (h)."""
    lines = [line.split() for line in manifest.splitlines()]
    return [words[1] for words in lines if words and words[-1] != "h"]


def main() -> int:
    """Make the copy; exit with 1, after one line, if that is not possible."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.backup", description="Back up the data folder of a running service."
    )
    parser.add_argument("folder", type=Path, help="where to; must not exist yet")
    parser.add_argument(
        "--without-database", action="store_true", help="leave out a database that is not in the data folder"
    )
    parser.add_argument(
        "--without-objects", action="store_true", help="leave out what an object store holds, instead of refusing"
    )
    options = parser.parse_args()
    target = options.folder.resolve()
    os.umask(0o077)
    try:
        size = back_up(
            get_settings(),
            target,
            without_database=options.without_database,
            without_objects=options.without_objects,
        )
    except (CannotBackUp, CannotStart, OSError, sqlite3.Error) as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {size} bytes of jobs; start from it with SCORELINE_DATA_DIR={target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
