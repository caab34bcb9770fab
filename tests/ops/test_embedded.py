import platform
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

from jobs.settings import Settings
from ops.embedded import CannotStart, private_folder, server_binary
from tests.ops.conftest import Start, environment, wait_for


def connect(data: Path) -> Redis:
    return Redis(unix_socket_path=str(Settings(data_dir=data).embedded_socket))


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except NotConnected:
        return False


def serve(start: Start, data: Path) -> tuple["subprocess.Popen[str]", Redis]:
    process, client = start("-m", "ops.embedded", env=environment(data)), connect(data)
    wait_for(lambda: answers(client))
    return process, client


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_process_is_a_server_that_syncs_each_write(start: Start, tmp_path: Path) -> None:
    process, client = serve(start, tmp_path / "var")
    assert client.info("server")["process_id"] == process.pid
    expected = {"port": "0", "appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction"}
    assert {name: client.config_get(name)[name] for name in expected} == expected
    assert client.config_get("maxmemory")["maxmemory"] == str(Settings().max_memory_mib * 1024 * 1024)


def test_its_files_are_the_owners_alone(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "var"
    _, client = serve(start, data)
    client.set("key", "value")
    paths = [data, *data.rglob("*")]
    assert any(path.name.endswith(".aof") for path in paths)
    assert [str(path) for path in paths if mode(path) & 0o077] == []


def test_what_it_acknowledged_survives_sigkill(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "var"
    process, client = serve(start, data)
    for number in range(100):
        client.set(f"key:{number}", number)
    process.kill()
    process.communicate()
    assert Settings(data_dir=data).embedded_socket.exists(), "the stale socket is part of this test"
    _, client = serve(start, data)
    assert [int(value) for value in client.mget(f"key:{number}" for number in range(100))] == list(range(100))


def test_a_long_path_falls_back_to_a_private_temporary_folder(start: Start, tmp_path: Path) -> None:
    data = tmp_path / ("long" * 30) / "var"
    socket = Settings(data_dir=data).embedded_socket
    assert data not in socket.parents
    try:
        _, client = serve(start, data)
        client.set("key", "value")
        assert mode(socket.parent) == 0o700
        assert (data / "valkey" / "appendonlydir").is_dir()
    finally:
        shutil.rmtree(socket.parent)


def test_a_second_server_on_the_same_folder_is_refused_in_one_line(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "var"
    _, client = serve(start, data)
    second = start("-m", "ops.embedded", env=environment(data))
    output, errors = second.communicate(timeout=30)
    assert (second.returncode, output) == (1, "")
    assert errors == f"scoreline: another server uses {data / 'valkey'}\n"
    assert answers(client)


def test_a_folder_that_somebody_else_laid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(CannotStart, match="not a link"):
        private_folder(tmp_path / "link")


def test_a_platform_without_a_server_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(CannotStart, match=r"on riscv64: set SCORELINE_REDIS_URL"):
        server_binary()
