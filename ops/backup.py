"""Copies the data folder of a running service: ``python -m ops.backup FOLDER`` makes a folder to start from.

The embedded server only adds to the files that its manifest names, and replaces the manifest when it begins others. So
a copy made between two looks at the same manifest holds all that was acknowledged before the copy began.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from jobs.errors import JobsError
from jobs.settings import Settings, get_settings
from ops.embedded import CannotStart, data_folder

_LOG = Path("valkey", "appendonlydir")
_MANIFEST = "appendonly.aof.manifest"
_MODELS = "models"
_TRIES = 10


class CannotBackUp(JobsError):
    """Raised when there is nothing to copy, or no place for the copy; says what to change."""


def back_up(settings: Settings, target: Path) -> int:
    """Copy jobs and models into a folder that is not there yet; answers the bytes of the append-only files.

    Raises:
        CannotBackUp: there is no data, or it is elsewhere, or the target is there.
    """
    if settings.redis_url is not None:
        raise CannotBackUp(
            "SCORELINE_REDIS_URL names the server that holds the jobs: back that up by its own means, "
            f"and the folder {settings.models_dir} beside it"
        )
    source = data_folder(settings)
    if target.exists():
        raise CannotBackUp(f"{target} is there already: name a folder that is not")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if (source / _MODELS).is_dir():
        shutil.copytree(source / _MODELS, part / _MODELS)
    size = _copy_log(source / _LOG, part / _LOG)
    part.rename(target)
    return size


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
    raise CannotBackUp(f"{source} is rewritten all the time: try again later")


def _read_manifest(folder: Path) -> str:
    try:
        return (folder / _MANIFEST).read_text()
    except FileNotFoundError:
        raise CannotBackUp(f"there are no jobs in {folder}: SCORELINE_DATA_DIR names the data folder") from None


def _names(manifest: str) -> list[str]:
    """Files that the manifest's lines name, ``file NAME seq NUMBER type b|i|h``, without those that are to go (h)."""
    lines = [line.split() for line in manifest.splitlines()]
    return [words[1] for words in lines if words and words[-1] != "h"]


def main() -> int:
    """Make the copy; the exit status is 1, after one line, if that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.backup", description="Copies the data folder while it is used."
    )
    parser.add_argument("folder", type=Path, help="where to; it must not be there yet")
    target = parser.parse_args().folder.resolve()
    os.umask(0o077)
    try:
        size = back_up(get_settings(), target)
    except (CannotBackUp, CannotStart, OSError) as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {size} bytes of jobs; start from it with SCORELINE_DATA_DIR={target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
