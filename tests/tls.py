"""A server behind TLS: certificates of a certificate authority of the tests' own, and a tunnel to the real server."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.stack import free_port


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority, and what it has signed for a host."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, host: str = "127.0.0.1") -> Certificates:
    """Certificates for an address of this machine, valid for a day."""
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    names = folder / "names"
    names.write_text(f"subjectAltName=IP:{host}\n")
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    request = str(folder / "server.csr")
    _openssl("req", "-x509", *key, str(folder / "ca.key"), "-out", str(made.authority), "-days", "1", "-subj", "/CN=ca")
    _openssl("req", *key, str(made.key), "-out", request, "-subj", "/CN=server")
    signed_by = ("-CA", str(made.authority), "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-days", "1")
    _openssl("x509", "-req", "-in", request, *signed_by, "-extfile", str(names), "-out", str(made.certificate))
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@contextmanager
def tls_tunnel(certificates: Certificates, socket: Path) -> Iterator[int]:
    """The port on which a server that listens on a Unix socket can be reached through TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    port, loop, begun, over = free_port(), asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with await asyncio.start_server(Proxy(str(socket)).pass_on, "127.0.0.1", port, ssl=context):
            begun.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="tunnel")
    thread.start()
    begun.wait(30)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()
