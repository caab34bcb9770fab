"""Detect the format of a file by its content; its name is ignored."""

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any

from model.errors import RefusedModel

HEAD_BYTES = 1 << 16
MAX_BYTES = 8 << 30
"""The largest decompressed file that is read: no larger model could be served."""


class Format(StrEnum):
    """File formats of models that can be added."""

    SKOPS = "skops"
    PICKLE = "pickle"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    CATBOOST = "catboost"
    ONNX = "onnx"


TO_ONNX = "export it to ONNX and add that file"
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes", TO_ONNX),
    (b"PAR1", "a Parquet table", "give tables with --data, and the fitted pipeline as FILE"),
    (b"ARROW1", "an Arrow table", "give tables with --data, and the fitted pipeline as FILE"),
    (b"binf", "a model in XGBoost's old binary format", "save it with that XGBoost by save_model('model.json')"),
    (b"bs64", "a model in XGBoost's old binary format", "save it with that XGBoost by save_model('model.json')"),
    (b"\x93NUMPY", "a NumPy array", "save the fitted pipeline with skops.io.dump"),
    (b"RDX", "an R data file", "export the model to ONNX, or train it in Python"),
    (b"RDA", "an R data file", "export the model to ONNX, or train it in Python"),
    (b"SQLite format 3", "an SQLite database", "save the fitted pipeline with skops.io.dump"),
    (b"GGUF", "a language model in GGUF format", "add a scikit-learn pipeline"),
    (b"%PDF", "a PDF", "save the fitted pipeline with skops.io.dump"),
)
_ZIPPED: tuple[tuple[str, str, str], ...] = (
    (r"(.*/)?data\.pkl", "a PyTorch model", TO_ONNX),
    (r"config\.json|model\.weights\.h5", "a Keras model", TO_ONNX),
    (r"(.*/)?MLmodel", "a zipped MLflow model", "unpack it and add its folder"),
    (r"model\.ini", "an H2O MOJO", TO_ONNX),
    (r".*\.npy", "a file of NumPy arrays", "save the fitted pipeline with skops.io.dump"),
    (
        r"(.*/)?workbook\.xml",
        "an Excel workbook",
        "save tables as CSV for --data, and give the fitted pipeline as FILE",
    ),
)
_DECOMPRESSORS: tuple[tuple[bytes, Callable[[BytesIO], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    # The older ``.lzma`` has no magic number, but begins with its settings, nearly always these.
    (b"\x5d\x00\x00", lzma.LZMAFile),
)
# What zlib writes first, by its level of compression.
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# Protocols from 2 on begin with their number; the older two are text that begins with a global, a mark or an empty
# container.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|c[\w.]+\n[\w.]+\n|\((?:i[\w.]+\n|dp?\d|lp?\d|c[\w.]+\n)|[\]}]q\x00|ccopy_reg\n")
# The version of the format, and the tags that may follow: producer, domain, graph.
_ONNX = re.compile(rb"\x08[\x01-\x20](?:[\x12\x1a\x22\x32\x3a\x42]|\x28)", re.DOTALL)
# An object whose first key has its length written as a number of eight bytes.
_UBJSON_XGBOOST = re.compile(rb"\{L.{8}(?:learner|version|Config|Model)", re.DOTALL)


def read(path: Path) -> bytes:
    """Return a file's content, decompressed if it is gzip, bzip2, xz, lzma or zlib as joblib writes it.

    Raise RefusedModel where it cannot be read, is broken, or is too large.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedModel(f"{path} cannot be read: {error.strerror}") from error
    try:
        return _decompressed(content, path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise RefusedModel(f"{path} is compressed, but broken: {error}; save it again") from error


def format_of(content: bytes, path: Path) -> Format:
    """Return the format of a file's decompressed content; raise RefusedModel, which says what it looks like instead."""
    if not content:
        raise RefusedModel(f"{path} is empty; save the fitted pipeline again")
    head = content[:HEAD_BYTES]
    for matches, file_format in _SIGNATURES:
        if matches(head):
            return file_format
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(content, path)
    what, way_out = _guess(head, content)
    raise RefusedModel(f"{path} looks like {what}, which is not a model that can be added; {way_out}")


def folder_refusal(path: Path) -> RefusedModel:
    """Return the refusal of a folder that is not an MLflow model, by what it looks like."""
    if (path / "saved_model.pb").exists():
        return RefusedModel(f"{path} is a TensorFlow SavedModel; {TO_ONNX}")
    if (path / "metadata").is_dir() and ((path / "stages").is_dir() or (path / "data").is_dir()):
        return RefusedModel(f"{path} is a model of Spark, which does not run here; {TO_ONNX}")
    if (path / "config.json").exists():
        return RefusedModel(f"{path} looks like a model of Hugging Face's transformers; {TO_ONNX}")
    return RefusedModel(
        f"{path} is a folder without an MLmodel file; give the model's file, or an MLflow model's folder"
    )


def _decompressed(content: bytes, path: Path) -> bytes:
    # Twice, for a compressed file that joblib had already compressed.
    for _ in range(2):
        opened = next((start(BytesIO(content)) for magic, start in _DECOMPRESSORS if content.startswith(magic)), None)
        if opened is not None:
            with opened as file:
                # One byte beyond the limit shows that a file is too large, without unpacking all of a zip bomb.
                content = file.read(MAX_BYTES + 1)
        elif content.startswith(_ZLIB):
            content = zlib.decompressobj().decompress(content, MAX_BYTES + 1)
        else:
            break
        if len(content) > MAX_BYTES:
            raise RefusedModel(f"{path} is larger than {MAX_BYTES >> 30} GiB when it is decompressed")
    return content


def _zip_format(content: bytes, path: Path) -> Format:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise RefusedModel(f"{path} is a zip archive, but broken; save it again") from error
    if "schema.json" in names:
        return Format.SKOPS
    for pattern, what, way_out in _ZIPPED:
        if any(re.fullmatch(pattern, name) for name in names):
            raise RefusedModel(f"{path} is {what}; {way_out}")
    raise RefusedModel(f"{path} is a zip archive without a skops model; save the fitted pipeline with skops.io.dump")


def _guess(head: bytes, content: bytes) -> tuple[str, str]:
    for magic, what, way_out in _REFUSED:
        if head.startswith(magic):
            return what, way_out
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model", TO_ONNX
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if b"<PMML" in start[:4096]:
        return "a PMML file", "export the model to ONNX, or save the fitted pipeline with skops.io.dump"
    if start.startswith(b"{"):
        return _guess_json(start, content)
    return _guess_text(head)


def _guess_json(start: bytes, content: bytes) -> tuple[str, str]:
    if b'"tree_info"' in content:
        return (
            "a dump of LightGBM, which LightGBM itself cannot read",
            "save the model by booster.save_model('model.txt')",
        )
    if b'"oblivious_trees"' in content or b'"features_info"' in content:
        return "a CatBoost model in JSON", "save it by save_model('model.cbm')"
    if b'"cells"' in start:
        return "a notebook", "save the fitted pipeline in it with skops.io.dump"
    return "JSON", "save the fitted pipeline with skops.io.dump"


def _guess_text(head: bytes) -> tuple[str, str]:
    lines = b""
    with suppress(UnicodeDecodeError):
        # The last character may be incomplete.
        head[:-4].decode() if len(head) > 4 else head.decode()
        lines = head
    first, *more = lines.splitlines() or [b""]
    if more and any(
        first.count(mark) and first.count(mark) == more[0].count(mark) for mark in (b",", b";", b"\t", b"|")
    ):
        return "a CSV table", "give tables with --data, and the fitted pipeline as FILE"
    if b"import " in lines and b"\n" in lines:
        return "Python source", "give it with --module, and the fitted pipeline as FILE"
    if lines:
        return "a text", "save the fitted pipeline with skops.io.dump"
    return "nothing that is known", "save the fitted pipeline with skops.io.dump"


def _is_xgboost(head: bytes) -> bool:
    start = head.lstrip()
    return bool(_UBJSON_XGBOOST.match(head)) or (start.startswith(b"{") and b'"learner"' in head)


_SIGNATURES: tuple[tuple[Callable[[bytes], Any], Format], ...] = (
    (_PICKLE.match, Format.PICKLE),
    (_is_xgboost, Format.XGBOOST),
    (lambda head: head.startswith(b"tree\n") or b"\ntree_sizes=" in head, Format.LIGHTGBM),
    (lambda head: head.startswith(b"CBM1"), Format.CATBOOST),
    (_ONNX.match, Format.ONNX),
)
