"""Proxies in front of a running service, configured by the files that users get in ``deploy/``."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ops.launch import read_procfile
from tests.stack import ROOT, Stack, free_port, wait_until

HOST = "scoreline.example"
PREFIX = "/scoreline"
NGINX = """daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/scoreline.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that passes requests on to a service."""

    port: int

    def client(self) -> httpx.Client:
        base = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=base, headers={"Host": f"{HOST}:{self.port}"}, timeout=90, verify=False)


def _deployed(name: str, **replaced: str) -> str:
    """A file of ``deploy/`` with what each host has of its own replaced."""
    text = (ROOT / "deploy" / name).read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def _nginx(folder: Path, port: int, behind: int) -> list[str]:
    own = {"listen 80;": f"listen 127.0.0.1:{port};", "127.0.0.1:8000": f"127.0.0.1:{behind}"}
    (folder / "scoreline.conf").write_text(_deployed("nginx/scoreline.conf", **own))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    return ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def _haproxy(folder: Path, port: int, behind: int) -> list[str]:
    own = {"bind :80\n": f"bind 127.0.0.1:{port}\n", "127.0.0.1:8000": f"127.0.0.1:{behind}"}
    (folder / "haproxy.cfg").write_text(_deployed("haproxy/haproxy.cfg", **own))
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def _caddy(folder: Path, port: int, behind: int) -> list[str]:
    own = {
        "\nscoreline.example {": f"\nhttp://{HOST}:{port} {{\n\tbind 127.0.0.1",
        "127.0.0.1:8000": f"127.0.0.1:{behind}",
    }
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + _deployed("caddy/Caddyfile", **own))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


KINDS: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}


@contextmanager
def another_web(service: Stack, **settings: str) -> Iterator[Stack]:
    """One more web of a running service, with settings of its own."""
    port = free_port()
    own = {"PORT": str(port), "SCORELINE_WEB_PROCESSES": "1"}
    scheme = "https" if "SCORELINE_TLS_CERTIFICATE" in settings else "http"
    web = Stack(service.folder, port, {**service.environment, **own, **settings}, scheme)
    with (service.folder / "another-web.log").open("ab") as log:
        _, *arguments = read_procfile(ROOT / "Procfile")["web"]
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=web.environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: web.ready() or process.poll() is not None)
        assert process.poll() is None
        yield web
    finally:
        process.terminate()
        process.wait(timeout=30)


def require(kind: str) -> None:
    """Skip the test where a proxy is not installed, unless it is required."""
    if shutil.which(kind) is None:
        text = f"tests behind {kind} were skipped: it is not installed (on Debian: apt-get install {kind})"
        (pytest.fail if os.environ.get("REQUIRE_PROXIES") == "1" else pytest.skip)(text)


@contextmanager
def running_proxy(kind: str, folder: Path, behind: int) -> Iterator[Proxy]:
    """A proxy in front of what listens at a port."""
    port = free_port()
    command = KINDS[kind](folder, port, behind)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield Proxy(port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
