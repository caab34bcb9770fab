"""Detect a file's format: by its first bytes, else by what the client says of it. Pure: no input or output."""

import re
from collections.abc import Mapping
from enum import StrEnum

from jobs.errors import UploadRefused

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC = b"\x1f\x8b"
HEAD_BYTES = 64 * 1024
"""Bytes that are enough to detect a format."""

UPLOADS = "a file is needed as CSV, Excel (.xlsx, .xls), OpenDocument (.ods), Parquet, Arrow or JSON lines"


class Format(StrEnum):
    """The formats of uploads, as parameters and documents name them."""

    CSV = "csv"
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    PARQUET = "parquet"
    ARROW = "arrow"
    JSONL = "jsonl"

    @property
    def is_workbook(self) -> bool:
        """Whether files of this format have sheets."""
        return self in (Format.XLSX, Format.XLS, Format.ODS)


TITLES = {
    Format.CSV: "CSV",
    Format.XLSX: "Excel (.xlsx)",
    Format.XLS: "Excel (.xls)",
    Format.ODS: "OpenDocument (.ods)",
    Format.PARQUET: "Parquet",
    Format.ARROW: "Arrow",
    Format.JSONL: "JSON lines",
}
"""The formats as people know them."""

# Windows sends CSV files as `application/vnd.ms-excel`, so that type says nothing.
_UNDECIDED = ("", "application/octet-stream", "application/vnd.ms-excel")
_TYPES = {
    "text/csv": Format.CSV,
    "application/csv": Format.CSV,
    "text/tab-separated-values": Format.CSV,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": Format.XLSX,
    "application/vnd.ms-excel.sheet.macroenabled.12": Format.XLSX,
    "application/vnd.oasis.opendocument.spreadsheet": Format.ODS,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
    "application/vnd.apache.arrow.stream": Format.ARROW,
    "application/vnd.apache.arrow.file": Format.ARROW,
    "application/x-ndjson": Format.JSONL,
    "application/ndjson": Format.JSONL,
    "application/jsonl": Format.JSONL,
    "application/x-jsonlines": Format.JSONL,
}
_SUFFIXES = {"jsonl": Format.JSONL, "ndjson": Format.JSONL, "csv": Format.CSV, "tsv": Format.CSV, "txt": Format.CSV}
MEDIA_TYPES = frozenset({*_TYPES, *_UNDECIDED})
"""The content types of uploads."""

# Signatures of files that are not read.
_OTHERS: Mapping[bytes, str] = {
    b"RIFF": "an image or a recording",
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF-": "a PDF document",
    _GZIP_MAGIC: "a gzip file; send it with Content-Encoding: gzip or under a name ending in .gz",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"PARE": "an encrypted Parquet file",
    b"FEA1": "a Feather file of version 1; write version 2 or Parquet",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x7fELF": "a program",
}
_MARKUP = {b"<!doctype html": "an HTML page", b"<html": "an HTML page", b"<?xml": "an XML document"}
_SIGNATURES = {
    b"PAR1": Format.PARQUET,
    b"ARROW1": Format.ARROW,
    b"\xff\xff\xff\xff": Format.ARROW,
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": Format.XLS,
}
_XLSX_NAMES = (b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/")
_OFFICE = {
    b"word/": "a Word document",
    b"ppt/": "a PowerPoint presentation",
    b"visio/": "a Visio drawing",
    b"application/vnd.oasis.opendocument.text": "an OpenDocument text",
    b"application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation",
    b"application/epub": "an EPUB book",
}
_ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"
_JSON_ARRAY = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[\s*\{\s*"(?:[^"\\]|\\.)*"\s*:')
_OBJECT_LINE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])[ \t]*\{|\A(?:\xef\xbb\xbf)?\s*\Z")
_JSON_OBJECT = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})')


def detect(head: bytes, asked: str | None, media_type: str, filename: str | None, needed: str = UPLOADS) -> Format:
    """Return the format of a file that begins with ``head``: by its content, then by what the client says.

    Raises:
        UploadRefused: ``unsupported_media_type``, naming what the file looks like and what is ``needed``;
            ``no_header`` of JSON lines; ``bad_parameter``.
    """
    named = _named(asked, media_type, filename)
    found = _by_signature(head, needed)
    if found:
        return found
    if named is Format.JSONL and not _OBJECT_LINE.search(head):
        detail = 'none of the first lines is a JSON object; JSON lines have one on each, such as {"age": 39}'
        raise UploadRefused("no_header", detail)
    if named in (None, Format.CSV, Format.JSONL):
        is_json = named is None and _JSON_OBJECT.match(head) is not None
        return Format.JSONL if is_json else named or Format.CSV
    raise UploadRefused("unsupported_media_type", f"this is not a file of the format {TITLES[named]}")


def _named(asked: str | None, media_type: str, filename: str | None) -> Format | None:
    """Return the format that the client names; None if it does not matter what the client says."""
    if asked:
        try:
            return Format(asked.strip().lower())
        except ValueError as error:
            known = ", ".join(Format)
            raise UploadRefused("bad_parameter", f"format: {asked[:40]!r} is none of {known}") from error
    suffix = (filename or "").lower().removesuffix(".gz").rpartition(".")[2]
    by_type = _TYPES.get(media_type)
    # Browsers and curl send a type by habit; a type that only says "text" is worth less than the name.
    return _SUFFIXES.get(suffix, by_type) if by_type in (None, Format.CSV) else by_type


def _by_signature(head: bytes, needed: str) -> Format | None:
    if head.startswith(_ZIP):
        return _zipped(head, needed)
    # The byte order marks of UTF-16 would not begin like this: four bytes of ones are no character.
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    text = head[:512].lstrip().lower()
    names = [name for mark, name in _OTHERS.items() if head.startswith(mark)]
    names += [name for mark, name in _MARKUP.items() if text.startswith(mark)]
    if _JSON_ARRAY.match(head):
        names.append("a JSON array")
    if names:
        raise UploadRefused("unsupported_media_type", f"this looks like {names[0]}; {needed}")
    return None


def _zipped(head: bytes, needed: str) -> Format:
    """Return the kind of workbook by the first entries of its archive."""
    # OpenDocument begins its archive with its media type, which is not compressed.
    if _ODS_TYPE in head[:256]:
        return Format.ODS
    others = [what for name, what in _OFFICE.items() if name in head]
    if others and b"xl/" not in head:
        raise UploadRefused("unsupported_media_type", f"this looks like {others[0]}; {needed}")
    if any(name in head for name in _XLSX_NAMES):
        return Format.XLSX
    raise UploadRefused("unsupported_media_type", "this looks like a .zip archive; send the file that is in it")
