"""The results of several jobs as one ZIP archive, streamed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import RawIOBase
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jobs.state import Job
from web.jobs.downloads import stem

# The fastest: it runs in a thread of the web process.
_COMPRESSION = 1


class _Pipe(RawIOBase):
    """Takes what the archive writes until it is sent on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def archive(files: Iterable[tuple[Job, Iterator[bytes]]], names: dict[str, str]) -> Iterator[bytes]:
    """Yield an archive of the files of some jobs; ``names`` are their names in it by job id."""
    # It cannot seek, so that ``ZipFile`` writes each file's size behind it.
    pipe = _Pipe()
    with ZipFile(pipe, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as packed:
        for job, blocks in files:
            at = datetime.fromtimestamp(job.created, UTC)
            # A zip archive has no earlier dates.
            info = ZipInfo(names[job.id], (max(at.year, 1980), at.month, at.day, at.hour, at.minute, at.second))
            info.compress_type = ZIP_DEFLATED
            # How large the file will be is not known yet; without this, it could not be larger than 2 GiB.
            with packed.open(info, "w", force_zip64=True) as file:
                for block in blocks:
                    file.write(block)
                    yield pipe.taken()
    yield pipe.taken()


def file_names(jobs: Iterable[Job], suffix: str) -> dict[str, str]:
    """Return a name for each job's file, by job id; of equal names, all have the first digits of the id."""
    jobs = list(jobs)
    stems = {job.id: stem(job.filename.replace("/", "_")) for job in jobs}
    # Where they are unpacked, case may make no difference.
    count = Counter(stem.casefold() for stem in stems.values())
    return {
        job_id: f"{stem}.{suffix}.csv" if count[stem.casefold()] == 1 else f"{stem}.{job_id[:8]}.{suffix}.csv"
        for job_id, stem in stems.items()
    }
