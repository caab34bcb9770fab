"""Check the archive that a workbook is, before a library unpacks any of it."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from jobs.errors import UploadRefused
from jobs.formats.source import unreadable

PASSWORD = "the workbook is protected by a password; save it without one"  # noqa: S105 - no password
_MACROS = re.compile(r"(?i)(?:.*/)?vbaProject\.bin")
_MANIFEST = "META-INF/manifest.xml"
_MAX_MANIFEST = 16 * 1024 * 1024
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_BLOCK_BYTES = 256 * 1024
_PIECE_BYTES = 1024 * 1024


def check_archive(path: str, max_bytes: int) -> None:
    """Look at the directory of a zipped workbook, and whether its entries are as large as that says.

    Raises:
        UploadRefused: ``unreadable_file``, ``too_large``, ``unsupported_media_type``.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:  # noqa: PTH123 - a file descriptor's path
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise _too_large(max_bytes)
            _check_kind(names)
            # Bit 0 marks an encrypted entry; OpenDocument encrypts in its own way.
            if any(entry.flag_bits & 1 for entry in entries) or _is_encrypted(archive, names):
                raise UploadRefused("unreadable_file", PASSWORD)
            # Readers unpack all that an entry holds, whatever its size in the directory.
            for entry in entries:
                if entry.compress_type == zipfile.ZIP_DEFLATED and _exceeds(file, entry):
                    raise unreadable("workbook", f"its part {entry.filename!r} is larger than its directory says")
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise unreadable("workbook", error) from error
    except (zlib.error, struct.error) as error:
        raise unreadable("workbook", "it is damaged") from error


def _too_large(max_bytes: int) -> UploadRefused:
    return UploadRefused("too_large", f"the workbook holds more than {max_bytes} bytes when it is unpacked")


def _check_kind(names: list[str]) -> None:
    if any(_MACROS.fullmatch(name) for name in names):
        detail = "this is a workbook with macros (.xlsm); save it as .xlsx, without them"
        raise UploadRefused("unsupported_media_type", detail)
    if not any(name.endswith(("workbook.xml", "workbook.bin", "content.xml")) for name in names):
        raise UploadRefused("unsupported_media_type", "this is a .zip archive, but no workbook")


def _is_encrypted(archive: zipfile.ZipFile, names: list[str]) -> bool:
    """Return whether an OpenDocument file says so in its manifest."""
    if _MANIFEST not in names:
        return False
    with archive.open(_MANIFEST) as manifest:
        return b"encryption-data" in manifest.read(_MAX_MANIFEST)


def _exceeds(file: IO[bytes], entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry unpacks to more than its directory says."""
    size = 0
    for piece in _unpacked(file, entry):
        size += len(piece)
        if size > entry.file_size:
            return True
    return False


def _unpacked(file: IO[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    file.seek(entry.header_offset)
    # The lengths in the local header, which may differ from those in the directory.
    *_, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    file.seek(name + extra, 1)
    # Negative: raw deflate, without the header of zlib.
    left, decoder = entry.compress_size, zlib.decompressobj(-zlib.MAX_WBITS)
    while not decoder.eof and (data := file.read(min(left, _BLOCK_BYTES))):
        left -= len(data)
        while data and not decoder.eof:
            yield decoder.decompress(data, _PIECE_BYTES)
            data = decoder.unconsumed_tail
