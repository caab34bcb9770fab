"""A download that breaks off is seen to: nobody takes part of a file for the whole."""

import re
import socket

import pytest

from tests.e2e.test_slow_clients import BEGINNING, clients, head, last_of, unfinished
from tests.stack import Stack

VERSIONS = pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])


def rows_of(connection: socket.socket) -> bytes:
    """What is sent until the first rows have come."""
    text = b""
    while text.partition(b"\r\n\r\n")[2].count(b"\n") < 10:
        block = connection.recv(65536)
        assert block, text
        text += block
    assert b" 200 OK\r\n" in text
    return text


def ends_whole(connection: socket.socket, version: bytes) -> bool:
    """Whether the client has to take what it has been sent for a whole answer."""
    try:
        text = last_of(connection)
    except ConnectionResetError:
        return False
    return version == b"HTTP/1.0" or text.endswith(b"\r\n0\r\n\r\n")


@VERSIONS
def test_who_follows_a_job_that_is_canceled_is_told(service: Stack, version: bytes) -> None:
    """Over HTTP/1.0, which nginx speaks by default, only a reset tells a broken-off file from a whole one."""
    with unfinished(service) as (job, upload):
        follow = head("GET", f"{job['links']['results']}?follow=true").replace(b"HTTP/1.1", version)
        with clients(service, 1, follow) as [download]:
            rows_of(download)
            assert service.request("DELETE", job["links"]["self"]).json()["state"] == "canceled"
            assert not ends_whole(download, version)
            assert not ends_whole(upload, b"HTTP/1.1")


@VERSIONS
def test_who_still_uploads_to_a_job_that_is_canceled_is_told(service: Stack, version: bytes) -> None:
    begin = head("POST", "/api/v1/score", "Content-Type: text/csv", "Content-Length: 100000000")
    with clients(service, 1, begin.replace(b"HTTP/1.1", version) + BEGINNING) as [connection]:
        found = re.search(rb"Location: (\S+)", rows_of(connection))
        assert found
        assert service.request("DELETE", found.group(1).decode()).json()["state"] == "canceled"
        assert not ends_whole(connection, version)


@VERSIONS
def test_a_whole_download_ends_as_usual(service: Stack, version: bytes) -> None:
    job, results = service.score(BEGINNING)
    for query in ("", "?follow=true"):
        get = head("GET", job["links"]["results"] + query, "Connection: close").replace(b"HTTP/1.1", version)
        with clients(service, 1, get) as [connection]:
            text = last_of(connection)
            # The length of results that are followed is not known when the answer begins.
            has_length = f"Content-Length: {len(results)}\r\n".encode() in text
            assert has_length is not bool(query)
            assert text.endswith(results if has_length or version == b"HTTP/1.0" else b"\r\n0\r\n\r\n")
