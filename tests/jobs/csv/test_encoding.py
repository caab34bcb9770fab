"""Results come back in the encoding of the file, byte for byte, with what does not decode as it was."""

import pytest

from jobs.csv.decoding import ENCODINGS, Utf8Decoder
from jobs.csv.encoding import encoder

# Bytes that Windows-1252 does not define.
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"


def through(data: bytes, encoding: str | None = None) -> bytes:
    """What becomes of a file that is read and written again."""
    decoder = Utf8Decoder(encoding)
    text = decoder.feed(data) + decoder.finish()
    encode = encoder(decoder.codec)
    return encode(text) if encode else text


@pytest.mark.parametrize("name", ENCODINGS)
def test_bytes_that_an_encoding_does_not_define_come_back_as_they_were(name: str) -> None:
    for byte in range(128, 256):
        data = bytes([byte]) + b",39\n"
        decoder = Utf8Decoder(name)
        text = decoder.feed(data) + decoder.finish()
        if b"\xed" in text:  # a lone surrogate, which scoring rejects
            assert through(data, name) == data


def test_a_file_of_windows_with_undefined_bytes_comes_back_whole() -> None:
    data = "39,Zürich – “x”\n".encode("cp1252") + b"40,a" + UNDEFINED + b"b\n41,plain\n"
    assert through(data) == data


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_half_a_character_of_utf_16_comes_back_as_it_was(encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}[encoding]
    data = "39,a\ud800b\n40,\udc00\n41,\U0001f600\n".encode(encoding, "surrogatepass")
    assert through(mark + data) == data


def test_a_character_that_the_encoding_does_not_have_becomes_a_question_mark() -> None:
    encode = encoder("cp1252")
    assert encode
    assert encode("39,→\n".encode() + b"40,\xff\n") == b"39,?\n40,?\n"
