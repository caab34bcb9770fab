"""Whatever the encoding and however the bytes come, the text arrives as UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.csv.decoding import Utf8Decoder, is_utf8
from jobs.errors import UploadRefused
from tests.properties import examples


def decode(data: bytes, block: int = 7, encoding: str | None = None) -> tuple[bytes, str]:
    stream = Utf8Decoder(encoding)
    parts = [stream.feed(data[at : at + block]) for at in range(0, len(data), block)]
    return b"".join([*parts, stream.finish()]), stream.encoding


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("name\ncafé".encode(), "name\ncafé", "utf-8"),
        ("\ufeffname\ncafé".encode(), "name\ncafé", "utf-8"),
        ("\ufeffname\ncafé €𝄞".encode("utf-16-le"), "name\ncafé €𝄞", "utf-16"),
        ("\ufeffname\ncafé €𝄞".encode("utf-16-be"), "name\ncafé €𝄞", "utf-16"),
        ("name\ncafé €".encode("cp1252"), "name\ncafé €", "windows-1252"),
        (b"plain", "plain", "utf-8"),
        (b"", "", "utf-8"),
        ("é".encode() * 400, "é" * 400, "utf-8"),
    ],
)
def test_the_first_bytes_show_the_encoding(data: bytes, text: str, encoding: str, block: int) -> None:
    assert decode(data, block) == (text.encode(), encoding)


def test_a_named_encoding_overrides_what_the_bytes_show() -> None:
    assert decode("café".encode("cp437"), encoding="cp437") == ("café".encode(), "cp437")
    assert decode("naïve".encode("utf-16-le"), encoding="utf-16-le")[0] == "naïve".encode()


@pytest.mark.parametrize(
    "name", ["klingon", "base64", "hex", "rot13", "utf-7\0", "undefined", "idna", "punycode", "unicode_escape"]
)
def test_unsupported_encodings_are_refused(name: str) -> None:
    with pytest.raises(UploadRefused) as refused:
        Utf8Decoder(name)
    assert refused.value.code == "unknown_encoding"


@pytest.mark.parametrize(
    "data",
    [
        "café\n".encode() + b"caf\xe9 au lait\n",
        "caf\xe9\n".encode("cp1252") + b"\x81\x8d\n",
        "\ufeffcafé\n".encode("utf-16-le") + b"\x00\xd8x\x00\n\x00",
        "\ufeffcafé\n".encode("utf-16-le") + b"x",
    ],
)
def test_undecodable_bytes_stay_invalid_and_within_their_record(data: bytes) -> None:
    first, _, second = decode(data)[0].partition(b"\n")
    assert first.decode() == "café"
    assert not is_utf8(second)


@examples(100, long=300)
@given(st.binary(max_size=60), st.integers(1, 9))
def test_where_the_blocks_are_cut_changes_nothing(data: bytes, block: int) -> None:
    assert decode(data, block) == decode(data, 1000)
