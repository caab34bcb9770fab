import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from database.database import Database
from jobs.settings import Settings
from ops import launch, readiness
from tests.ops.conftest import Start, environment, lives, numbers, wait_for

# Ready at once; asked to end, it takes its time and then notes whether the store still answers.
WEB = """
import http.server, os, pathlib, signal, time
import redis
from jobs.settings import get_settings

here = pathlib.Path(__file__).parent
settings = get_settings()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

def stop(*_):
    time.sleep(0.5)
    (here / "farewell").write_text(str(redis.Redis.from_url(settings.store_url).ping()))
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
with (here / "web.pids").open("a") as pids:
    print(os.getpid(), file=pids)
http.server.ThreadingHTTPServer((settings.host, settings.port), Handler).serve_forever()
"""
IDLER = """
import os, pathlib, time
with (pathlib.Path(__file__).parent / "idler.pids").open("a") as pids:
    print(os.getpid(), file=pids)
print('{"event": "An object", "role": "idler", "number": 7}', flush=True)
print("Hello, idling", flush=True)
time.sleep(300)
"""


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    """A Procfile with the real store, a web that is ready at once, and a worker that does nothing."""
    (tmp_path / "var" / "models" / "income" / "current").mkdir(parents=True)
    (tmp_path / "web.py").write_text(WEB)
    (tmp_path / "idler.py").write_text(IDLER)
    path = tmp_path / "Procfile"
    path.write_text(
        "store: python -m ops.embedded\n"
        f"web: env PYTHONPATH=. python {tmp_path / 'web.py'}\n"
        f"worker: python {tmp_path / 'idler.py'}\n"
    )
    return path


def launcher(start: Start, procfile: Path, port: int, **others: str) -> "subprocess.Popen[str]":
    env = environment(procfile.parent / "var", port, **others)
    return start("-m", "ops.launch", "--procfile", str(procfile), env=env)


def guards(pid: int) -> list[psutil.Process]:
    """The shells that end what the launcher runs when it can no longer do so itself."""
    return [child for child in psutil.Process(pid).children() if "kill -KILL 0" in " ".join(child.cmdline())]


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"no {text!r} in {read!r}")


def pids(procfile: Path) -> list[int]:
    return numbers(procfile.parent / "web.pids") + numbers(procfile.parent / "idler.pids")


def test_from_start_to_stop(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    output = read_until(process, "Scoreline is ready")
    store = int(re.findall(r"store started \(pid=(\d+)\)", output)[0])
    wait_for(lambda: len(pids(procfile)) == 2)
    assert output.splitlines()[-1] == f"Scoreline is ready at http://127.0.0.1:{free_port}"
    process.terminate()
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "Scoreline is ready" not in rest
    assert "| Hello, idling" in output + rest
    assert not any(lives(pid) for pid in [store, *pids(procfile)])
    assert (procfile.parent / "farewell").read_text() == "True", "the store is stopped after those who use it"


def test_a_terminals_interrupt_stops_everything(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    read_until(process, "Scoreline is ready")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not any(lives(pid) for pid in pids(procfile))


def test_an_interrupt_in_the_middle_of_the_start_stops_everything(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    read_until(process, "started")
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert not any(lives(pid) for pid in pids(procfile))


def test_a_killed_process_comes_back_and_the_others_stay(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    read_until(process, "Scoreline is ready")
    wait_for(lambda: len(pids(procfile)) == 2)
    web, idler = pids(procfile)
    os.kill(web, signal.SIGKILL)
    wait_for(lambda: len(numbers(procfile.parent / "web.pids")) == 2)
    assert "web.py was ended by SIGKILL; starting it again at once" in read_until(process, "starting it again")
    assert lives(idler)


def test_nothing_outlives_a_killed_launcher(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    output = read_until(process, "Scoreline is ready")
    wait_for(lambda: len(pids(procfile)) == 2)
    store = int(re.findall(r"store started \(pid=(\d+)\)", output)[0])
    process.kill()
    wait_for(lambda: not any(lives(pid) for pid in [store, *pids(procfile)]))
    process.communicate(timeout=30)


def test_nothing_outlives_a_launcher_whose_guards_were_killed_first(
    start: Start, procfile: Path, free_port: int
) -> None:
    process = launcher(start, procfile, free_port)
    read_until(process, "Scoreline is ready")
    wait_for(lambda: len(pids(procfile)) == 2)
    before = pids(procfile)
    for guard in guards(process.pid):
        guard.kill()
    wait_for(lambda: len(pids(procfile)) == 4)
    assert not any(lives(pid) for pid in before)
    process.kill()
    wait_for(lambda: not any(lives(pid) for pid in pids(procfile)))
    process.communicate(timeout=30)


def test_a_reader_that_is_gone_stops_everything(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port)
    read_until(process, "Scoreline is ready")
    wait_for(lambda: len(pids(procfile)) == 2)
    assert process.stdout is not None
    process.stdout.close()
    os.kill(pids(procfile)[1], signal.SIGKILL)  # so that there is something to write
    assert process.wait(30) == 1
    assert not any(lives(pid) for pid in pids(procfile))


def test_json_lines_stay_as_they_are_and_others_become_objects(start: Start, procfile: Path, free_port: int) -> None:
    process = launcher(start, procfile, free_port, SCORELINE_LOG_FORMAT="json")
    output = read_until(process, "Scoreline is ready")
    wait_for(lambda: len(pids(procfile)) == 2)
    process.terminate()
    lines = [json.loads(line) for line in (output + process.communicate(timeout=30)[0]).splitlines()]
    assert [line["role"] for line in lines if line["event"] == "Hello, idling"] == ["worker"]
    assert [line["role"] for line in lines if line["event"].startswith("Scoreline is ready")] == ["launcher"]
    assert {"event": "An object", "role": "idler", "number": 7} in lines


def test_a_taken_port_is_told_in_one_line(start: Start, procfile: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = launcher(start, procfile, port)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        f"scoreline: cannot listen on 127.0.0.1:{port}: Address already in use; set HOST and PORT to use another\n"
    )
    assert pids(procfile) == []


def test_a_second_start_is_told_in_one_line(start: Start, procfile: Path, free_port: int) -> None:
    first = launcher(start, procfile, free_port)
    read_until(first, "Scoreline is ready")
    second = launcher(start, procfile, free_port)
    output, errors = second.communicate(timeout=30)
    assert (second.returncode, output) == (1, "")
    assert errors == (
        f"scoreline: Scoreline is already running with the data folder {procfile.parent / 'var'}; "
        "set SCORELINE_DATA_DIR to use another\n"
    )
    assert first.poll() is None


def test_two_run_side_by_side(start: Start, procfile: Path, free_port: int, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other_port = probe.getsockname()[1]
    other_data = tmp_path / "other"
    (other_data / "models" / "income" / "current").mkdir(parents=True)
    first = launcher(start, procfile, free_port)
    second = launcher(start, procfile, other_port, SCORELINE_DATA_DIR=str(other_data))
    read_until(first, f"Scoreline is ready at http://127.0.0.1:{free_port}")
    read_until(second, f"Scoreline is ready at http://127.0.0.1:{other_port}")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PORT", "http", "scoreline: PORT: Input should be a valid integer"),
        (
            "SCORELINE_PREDICT_SECONDS",
            "5",
            "scoreline: SCORELINE_PREDICT_SECONDS is now called SCORELINE_PREDICTION_TIMEOUT_SECONDS",
        ),
        ("SCORELINE_WEB_PROCESSES", "0", "scoreline: SCORELINE_WEB_PROCESSES: Input should be greater"),
        ("HOST", "192.0.2.1", "scoreline: cannot listen on 192.0.2.1:"),
        ("SCORELINE_DATA_DIR", "/dev/null/var", "scoreline: cannot create the data folder /dev/null/var: "),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(
    start: Start, procfile: Path, free_port: int, name: str, value: str, line: str
) -> None:
    process = start(
        "-m",
        "ops.launch",
        "--procfile",
        str(procfile),
        env={**environment(procfile.parent / "var", free_port), name: value},
    )
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith(line)
    assert len(errors.splitlines()) == 1


def test_no_store_is_started_if_the_settings_name_one(procfile: Path) -> None:
    commands = launch.read_commands(procfile, Settings(redis_url="redis://127.0.0.1:1"))
    assert list(commands) == ["web", "worker"]


class Readiness(BaseHTTPRequestHandler):
    """Ready at the third look, as the web says it: a body that names what is missing."""

    looks = 0

    def do_GET(self) -> None:
        type(self).looks += 1
        ready = self.looks > 2
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"{}" if ready else b'{"ready": false, "missing": ["bulk worker", "model"]}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def slow_web() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Readiness) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def test_what_is_missing_is_told_once(slow_web: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_SECONDS", -1.0)
    lines: list[str] = []
    readiness.announce(Settings(host="0.0.0.0", port=slow_web), lines.append)
    assert lines == [
        "Scoreline is not ready after -1 s: missing: bulk worker, model",
        f"Scoreline is ready at http://127.0.0.1:{slow_web}",
    ]


def test_a_database_of_a_newer_version_is_refused_in_one_line(start: Start, procfile: Path, free_port: int) -> None:
    database = Database(f"sqlite:///{procfile.parent / 'var' / 'scoreline.db'}")
    database.upgrade()
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    process = launcher(start, procfile, free_port)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("scoreline: the database is at revision 9999, which is newer than this version")
    assert errors.count("\n") == 1


def test_a_database_that_cannot_be_reached_keeps_nothing_from_starting(
    start: Start, procfile: Path, free_port: int
) -> None:
    address = f"postgresql://nobody@127.0.0.1:{free_port}/none"
    process = launcher(start, procfile, free_port, SCORELINE_DATABASE_URL=address)
    read_until(process, "Scoreline is ready")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
