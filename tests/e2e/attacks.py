"""Requests that somebody on the same network, or a page of another site, could send to harm: what each is answered.

``VICTIM`` stands for the id of another's job, ``KEY`` for the idempotency key under which it was uploaded.
"""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER
from tests.e2e.test_slow_clients import RECORD

VICTIM = "VICTIM" * 4
KEY = "2026-11-26"
EVIL = "evil.example"
CSV = "Content-Type: text/csv"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: multipart/form-data; boundary=x"
ANSWER = json.dumps({"record": RECORD}).encode()


@dataclass(frozen=True)
class Attack:
    """What is sent on a connection, and the status of the one answer that comes."""

    name: str
    text: bytes
    status: int


def request(method: str, target: str, *lines: str, body: bytes = b"", host: str | None = "localhost") -> bytes:
    """A request, whose length is said unless a line does."""
    said = {line.partition(":")[0].strip().lower() for line in lines}
    head = [
        f"{method} {target} HTTP/1.1",
        *([f"Host: {host}"] if host is not None else []),
        *lines,
        "Connection: close",
    ]
    if body and not said & {"content-length", "transfer-encoding"}:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def foreign_hosts() -> Iterable[Attack]:
    names = [
        EVIL, f"{EVIL}:80", f"localhost.{EVIL}", f"127.0.0.1.{EVIL}", f"localhost@{EVIL}", f"{EVIL}#localhost", "evil",
        "0.0.0.0", "192.168.0.1", "[fd00::1]", "127.0.0.1:80@x", "localhost,evil", "localhost evil", "*", "2130706433",
        "0x7f000001", "017700000001", "[::1", "::1", "localhost..", "\u00ff", "xn--localhost-", "",
        "localhost:99999999",
    ]  # fmt: skip
    for name in names:
        yield Attack(f"host {name!r}", request("GET", "/api/v1/jobs", host=name), 421)
    yield Attack("no host", request("GET", "/api/v1/jobs", host=None), 421)
    yield Attack("no host in HTTP/1.0", b"GET /api/v1/jobs HTTP/1.0\r\n\r\n", 421)
    yield Attack("two hosts", request("GET", "/api/v1/jobs", f"Host: {EVIL}"), 400)
    yield Attack("the own host twice", request("GET", "/api/v1/jobs", "Host: localhost"), 400)
    for target in (
        f"http://{EVIL}/api/v1/jobs",
        f"http://localhost@{EVIL}/api/v1/jobs",
        f"HTTP://{EVIL}:80/",
        "http:///",
    ):
        yield Attack(f"target {target}", request("GET", target), 421)
    yield Attack("foreign host, own target", request("GET", "http://localhost/api/v1/jobs", host=EVIL), 421)
    for line in (
        "X-Forwarded-Host: localhost",
        "Forwarded: host=localhost",
        "X-Host: localhost",
        "X-Real-Host: localhost",
    ):
        yield Attack(f"foreign host, {line}", request("GET", "/api/v1/jobs", line, host=EVIL), 421)
    for method in ("DELETE", "POST", "OPTIONS", "HEAD", "TRACE"):
        yield Attack(f"{method} under a foreign host", request(method, f"/api/v1/jobs/{VICTIM}", host=EVIL), 421)


def foreign_pages() -> Iterable[Attack]:
    origins = [
        f"http://{EVIL}", "null", "", "http://localhost:1", "https://localhost.evil.example", "http://[::1",
        "localhost",
        "http://localhost@evil.example", "file://", "http://localhost http://evil.example", "//localhost", "http://",
    ]  # fmt: skip
    for origin in origins:
        yield Attack(f"origin {origin!r}", request("DELETE", f"/api/v1/jobs/{VICTIM}", f"Origin: {origin}"), 403)
    for site in ("cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, cross-site"):
        line = f"Sec-Fetch-Site: {site}"
        yield Attack(f"site {site!r}", request("POST", f"/jobs/{VICTIM}/delete", line, body=b"x=1"), 403)
    for path in (f"/jobs/{VICTIM}/cancel", f"/jobs/{VICTIM}/again", "/jobs", "/api/v1/jobs", "/api/v1/predictions"):
        yield Attack(f"form to {path}", request("POST", path, f"Origin: http://{EVIL}", CSV, body=FILE), 403)
    ask = ("Access-Control-Request-Method: DELETE", f"Origin: http://{EVIL}")
    yield Attack("preflight of a browser", request("OPTIONS", f"/api/v1/jobs/{VICTIM}", *ask), 200)
    override = "X-HTTP-Method-Override: DELETE"
    yield Attack("another method by a header", request("GET", f"/api/v1/jobs/{VICTIM}", override), 200)
    yield Attack("another method by the query", request("GET", f"/api/v1/jobs/{VICTIM}?_method=DELETE"), 200)
    yield Attack("delete by GET", request("GET", f"/jobs/{VICTIM}/delete"), 303)


def foreign_keys() -> Iterable[Attack]:
    for part in (
        ":input",
        ":output",
        ":rejects",
        ":inflight",
        ":leases",
        ":counts",
        ":summary",
        "%00",
        "%0a",
        "*",
        "?",
        ".",
    ):
        status = 200 if part == "?" else 404
        yield Attack(f"job with {part}", request("GET", f"/api/v1/jobs/{VICTIM}{part}"), status)
        if status == 404:
            yield Attack(f"delete of a job with {part}", request("POST", f"/jobs/{VICTIM}{part}/delete"), 404)
    for job in ("..", "%2e%2e", "*", "[0-9a-f]*", "0" * 32, "F" * 32, "1" * 3_000, "-", "%"):
        yield Attack(f"delete of job {job[:12]!r}", request("DELETE", f"/api/v1/jobs/{job}"), 404)
    for prediction in (VICTIM, f"{VICTIM}.0", f"{'0' * 32}.99999", f"{'0' * 32}.-1", f"{'0' * 32}:x"):
        yield Attack(f"prediction {prediction[-8:]}", request("GET", f"/api/v1/predictions/{prediction}"), 404)
    for cursor in ("*", "1-x", "1.0-" + "g" * 32, "9" * 40, "1.1-" + "0" * 32 + "%0a", "%00"):
        yield Attack(f"cursor {cursor[:12]!r}", request("GET", f"/api/v1/jobs?cursor={cursor}"), 422)


def paths() -> Iterable[Attack]:
    for path in (
        "/static/../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/static/%2e%2e/%2e%2e/web/__init__.py",
        "/static/....//....//etc/passwd", "/static/..\\..\\etc\\passwd", "/static/%00",
        "/api/v1/docs/assets/../../../../etc/passwd", "/.git/config", "/.env",
        "/api/v1/models/..%2f..%2fetc%2fpasswd", "/api/v1/models/%2e%2e/sample.csv", "/models/../../etc/passwd",
        "/api/v1/models/income%00/sample.csv", "/api/v1/models/income%2f..%2fincome", "/api/v1/errors/..%2fjobs",
        "/api/v1/errors/<script>", "/%0d%0aSet-Cookie:%20a=b", "/api/v1/jobs/..;/jobs", "/server-status",
        "/metrics/../jobs/x",
    ):  # fmt: skip
        yield Attack(f"path {path}", request("GET", path), 404)
    for path in ("/static//etc/passwd", "/api/v1/docs/assets/%2fetc%2fpasswd"):  # to the same without the second slash
        yield Attack(f"path {path}", request("GET", path), 308)
    yield Attack("model by a path", request("POST", "/api/v1/jobs?model=../../etc/passwd", CSV, body=FILE), 422)
    yield Attack("version by a path", request("POST", "/api/v1/jobs?model=income@../..", CSV, body=FILE), 422)
    yield Attack("redirect by slashes", request("GET", "//evil.example/%2e%2e"), 404)


def smuggled() -> Iterable[Attack]:
    inner = request("DELETE", f"/api/v1/jobs/{VICTIM}")
    post = ("POST", "/api/v1/predictions")
    for name, lines in {
        "length and chunks": ("Content-Length: 4", CHUNKED),
        "chunks and length": (CHUNKED, "Content-Length: 4"),
        "two lengths": ("Content-Length: 0", f"Content-Length: {len(inner)}"),
        "the same length twice": (f"Content-Length: {len(inner)}", f"Content-Length: {len(inner)}"),
        "a list of lengths": (f"Content-Length: {len(inner)}, {len(inner)}",),
        "a signed length": ("Content-Length: +4",),
        "a negative length": ("Content-Length: -4",),
        "a hexadecimal length": ("Content-Length: 0x4",),
        "a length with an underscore": ("Content-Length: 1_0",),
        "an empty length": ("Content-Length:",),
        "a length of other digits": ("Content-Length: \u00b2",),
        "a space before the colon": ("Transfer-Encoding : chunked",),
        "chunks behind a tab": ("Transfer-Encoding:\x0bchunked",),
        "a folded header": ("Transfer-Encoding: chunked\r\n , identity",),
        "chunks twice": (CHUNKED, CHUNKED),
        "chunks and identity": (CHUNKED, "Transfer-Encoding: identity"),
        "a header that begins with a space": (" Transfer-Encoding: chunked",),
        "a bare carriage return": ("X: a\rTransfer-Encoding: chunked",),
        "a NUL": ("X: a\0b",),
        "a header without a colon": ("Transfer-Encoding",),
        "a name in quotes": ('"Transfer-Encoding": chunked',),
    }.items():
        yield Attack(name, request(*post, JSON, *lines, body=b"0\r\n\r\n" + inner), 400)
    for coding in ("xchunked", "gzip", "chunked, identity", "identity, chunked, chunked", "cow"):
        lines = (JSON, f"Transfer-Encoding: {coding}")
        status = 501 if coding in ("xchunked", "cow") else 400
        yield Attack(f"coding {coding}", request(*post, *lines, body=b"0\r\n\r\n" + inner), status)
    for size in (b"-1", b"+1", b"0x1", b"1_0", b"F" * 17, b"1 ;", b"\n1", b"1\n", b'1;a="', b"z", b""):
        body = size + b"\r\nx\r\n0\r\n\r\n" + inner
        yield Attack(f"chunk of {size!r}", request(*post, JSON, CHUNKED, body=body), 400)
    body = chunk(ANSWER) + b"0\r\nContent-Length: 5\r\nHost: evil.example\r\n\r\n"
    yield Attack("headers behind the body", request(*post, JSON, CHUNKED, body=body), 400)
    yield Attack("a request in the body of another", request("GET", "/healthz", body=inner), 200)
    yield Attack("HTTP/2 without being asked", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400)
    settings = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings")
    yield Attack("an upgrade to HTTP/2", request("GET", "/healthz", *settings), 200)
    yield Attack("a web socket", request("GET", "/healthz", "Upgrade: websocket", "Sec-WebSocket-Key: x"), 200)
    yield Attack("lines with bare line feeds", request("GET", "/healthz").replace(b"\r\n", b"\n"), 400)
    for line in (
        "SCRIPT_NAME: /api",
        f"PATH_INFO: /api/v1/jobs/{VICTIM}",
        "REMOTE_ADDR: 10.0.0.1",
        "Content_Length: 9",
    ):
        yield Attack(f"header {line[:12]}", request("GET", "/healthz", line), 200)
    for line in (
        b"GET",
        b"GET / HTTP/1.1 x",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET / http/1.1",
        b"get\0 / HTTP/1.1",
    ):
        yield Attack(f"line {line!r}", line + b"\r\nHost: localhost\r\n\r\n", 400)


def oversized() -> Iterable[Attack]:
    yield Attack("a long address", request("GET", "/" + "x" * 9_000), 414)
    yield Attack("a long query", request("GET", "/api/v1/jobs?cursor=" + "x" * 9_000), 414)
    yield Attack("a long header", request("GET", "/", "X: " + "x" * 9_000), 431)
    yield Attack("many headers", request("GET", "/", *(f"X-{n}: x" for n in range(100))), 431)
    yield Attack("a long method", b"G" * 100 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400)
    yield Attack("a line without end", b"GET /" + b"x" * 100_000, 414)
    yield Attack("a large file, announced", request("POST", "/api/v1/jobs", CSV, "Content-Length: 99999999999"), 413)
    yield Attack(
        "large JSON, announced", request("POST", "/api/v1/predictions", JSON, "Content-Length: 999999999"), 413
    )
    many = json.dumps({"records": [{}] * 1001}).encode()
    yield Attack("too many records", request("POST", "/api/v1/predictions", JSON, body=many), 422)
    wide = b",".join(b"c%d" % n for n in range(3000)) + b"\n1\n"
    yield Attack("too many columns", request("POST", "/api/v1/jobs", CSV, body=wide), 422)
    yield Attack("a long name", request("POST", f"/api/v1/preflight?filename={'a' * 3000}", CSV, body=FILE), 200)
    yield Attack(
        "a large number of things to explain", request("POST", "/api/v1/jobs?explain=999999999", CSV, body=FILE), 422
    )
    yield Attack("a deep record", request("POST", "/api/v1/predictions", JSON, body=b'{"record":' * 10_000), 400)
    number = b'{"record": {"age": ' + b"9" * 10_000 + b"}}"
    yield Attack("a long number", request("POST", "/api/v1/predictions", JSON, body=number), 400)
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="n%d"\r\n\r\n1\r\n' % n for n in range(200))
    yield Attack("a form of many parts", request("POST", "/api/v1/jobs", FORM, body=parts + b"--x--\r\n"), 400)


def packed() -> Iterable[Attack]:
    gzipped = (CSV, "Content-Encoding: gzip")
    bomb = gzip.compress(f"{HEADER}\n".encode() + b" " * 8_000_000)
    yield Attack("a bomb of one line", request("POST", "/api/v1/jobs", *gzipped, body=bomb), 422)
    twice = gzip.compress(gzip.compress(FILE))
    yield Attack("gzip within gzip", request("POST", "/api/v1/jobs", *gzipped, body=twice), 415)
    yield Attack("no gzip", request("POST", "/api/v1/jobs", *gzipped, body=FILE), 400)
    yield Attack("half a gzip", request("POST", "/api/v1/jobs", *gzipped, body=gzip.compress(FILE)[:-9]), 400)
    for coding in ("br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "../gzip"):
        line = f"Content-Encoding: {coding}"
        yield Attack(f"packed with {coding}", request("POST", "/api/v1/jobs", CSV, line, body=FILE), 415)
    for magic in (b"PK\x03\x04", b"\x7fELF", b"%PDF-1.7", b"<html>", b"<?xml version='1.0'?><!DOCTYPE x>"):
        yield Attack(f"a file of {magic[:5]!r}", request("POST", "/api/v1/jobs", CSV, body=magic + FILE), 415)
    yield Attack("a file that only begins as Parquet", request("POST", "/api/v1/jobs", CSV, body=b"PAR1" + FILE), 422)
    for kind in ("text/html", "application/x-www-form-urlencoded", "application/json", "image/svg+xml", "x"):
        yield Attack(f"a body of {kind}", request("POST", "/api/v1/jobs", f"Content-Type: {kind}", body=FILE), 415)
    yield Attack("a file with NUL", request("POST", "/api/v1/jobs", CSV, body=FILE + b"\0\n"), 422)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../a.csv"\r\n\r\n'
    yield Attack("a form that never ends", request("POST", "/api/v1/jobs", FORM, body=form + FILE), 400)
    yield Attack("a form without a boundary", request("POST", "/api/v1/jobs", FORM.partition(";")[0], body=form), 400)
    yield Attack("a form of two files", request("POST", "/api/v1/jobs", FORM, body=(form + FILE + b"\r\n") * 2), 400)


def known_keys() -> Iterable[Attack]:
    for body in (FILE + f"{GOOD}\n".encode(), b"x,y\n1,2\n", b"\n", FILE[:-1]):
        lines = (CSV, f"Idempotency-Key: {KEY}")
        yield Attack(f"another's key with {len(body)} bytes", request("POST", "/api/v1/jobs", *lines, body=body), 422)
    own = f"Idempotency-Key: {KEY}"
    for query in (
        "threshold=0.4", "filename=other.csv", "explain=1", "encoding=utf-8", "decimal=.", "warnings=true",
        "delimiter=,", "drop_results=true", "model=income", "format=csv",
    ):  # fmt: skip
        yield Attack(f"another's key with {query}", request("POST", f"/api/v1/jobs?{query}", CSV, own, body=FILE), 422)
    packed = (CSV, "Content-Encoding: gzip", own)
    other = gzip.compress(FILE + b"\n")
    yield Attack("another's key with a packed file", request("POST", "/api/v1/jobs", *packed, body=other), 422)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="b.csv"\r\n\r\n' + FILE + b"\r\n--x--\r\n"
    yield Attack("another's key with a form", request("POST", "/api/v1/jobs", FORM, own, body=form), 422)
    fields = b'{"records": [{"_row": 2, "age": 40}]}'
    path = f"/api/v1/jobs/{VICTIM}/corrections"
    yield Attack("another's key with corrections", request("POST", path, JSON, own, body=fields), 422)
    yield Attack(
        "another's key with a file of corrections", request("POST", path, CSV, own, body=b"_row,age\n2,4\n"), 422
    )
    for key, status in {"": 400, "x" * 256: 400, "a\0b": 400, "a\rb": 400, "a\r\n b": 400, " " * 300: 400}.items():
        line = f"Idempotency-Key: {key}"
        text = request("POST", "/api/v1/jobs", CSV, line, body=FILE)
        yield Attack(f"a key of {len(key)} such as {key[:6]!r}", text, status)


def words() -> Iterable[Attack]:
    """Parameters and headers that are no such thing."""
    for query in ("limit=-1", "limit=1e9", "limit=201", "state=%27%20OR%201=1", "limit=NaN", "cursor[]=x"):
        yield Attack(f"jobs?{query}", request("GET", f"/api/v1/jobs?{query}"), 200 if "[" in query else 422)
    for threshold in ("nan", "inf", "-1", "1e309", "0x1", "%00", "1,5"):
        path = f"/api/v1/jobs?threshold={threshold}"
        yield Attack(f"threshold {threshold}", request("POST", path, CSV, body=FILE), 422)
    for encoding in ("rot13", "hex", "zlib", "idna", "unicode_escape", "utf-7", "../x", "punycode"):
        path = f"/api/v1/jobs?encoding={encoding}"
        yield Attack(f"encoding {encoding}", request("POST", path, CSV, body=FILE), 422)
    for line in (
        "Prefer: wait=99999999999999999999",
        "Prefer: wait=-1",
        "Prefer: " + "wait=1," * 500,
        "Last-Event-ID: -1",
    ):
        yield Attack(line[:24], request("GET", f"/api/v1/jobs/{VICTIM}", line), 200)
    for line in (
        "If-None-Match: " + "9" * 5000,
        'If-None-Match: "99999999999999999999-0"',
        "Range: bytes=0-",
        "Cookie: x",
    ):
        yield Attack(line[:24], request("GET", f"/api/v1/jobs/{VICTIM}", line), 200)
    for line in (
        "Accept: " + "a/b," * 1000,
        "Accept: */*;q=nan",
        "Accept: text/html;q=1e9",
        "Accept-Encoding: gzip;q=x",
    ):
        yield Attack(line[:24], request("GET", "/api/v1/errors", line), 200)
    for body in (
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b'{"record": NaN}',
        b'{"record": {}, "record": []}',
        b"\xff\xfe",
        b"[" * 9999,
    ):
        status = 422 if b"[]}" in body else 400
        yield Attack(f"JSON {body[:12]!r}", request("POST", "/api/v1/predictions", JSON, body=body), status)


ATTACKS = [
    *foreign_hosts(), *foreign_pages(), *foreign_keys(), *paths(), *smuggled(), *oversized(), *packed(), *known_keys(),
    *words(),
]  # fmt: skip
