"""What Scoreline is compared with: how each is started, asked and read."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environments import environment, python_of
from bench.places import PEERS, RUN
from bench.servers import Server, free_port, peer, peer_variables, scoreline

Record = Mapping[str, Any]
_SAVE_SECONDS = 300.0
_INTEGERS = ("age", "hours_per_week")


@dataclass(frozen=True, slots=True)
class Contender:
    """A server for single records: the body for a record, and where the probability stands in the answer."""

    name: str
    title: str
    how: str
    path: str
    start: Callable[[], AbstractContextManager[Server]]
    body: Callable[[Record], Any]
    probability: Callable[[Any], float]

    def prepare(self) -> None:
        """Install what it needs; raises CannotInstall."""
        if self.name != "scoreline":
            environment(self.name)


def contenders() -> list[Contender]:
    """All servers for single records, in the order in which they take turns."""
    return [
        Contender(
            "scoreline", "Scoreline", "through Celery, stored, with the reasons for the answer",
            "/api/v1/predictions", scoreline, lambda record: {"record": record}, lambda answer: answer["probability"],
        ),
        Contender(
            "flask", "plain Flask", "the pipeline in the web process; gunicorn, gthread, 2 workers of 8 threads",
            "/predict", _flask, dict, lambda answer: answer["probability"],
        ),
        Contender(
            "litserve", "LitServe", "2 workers, batches of up to 64, waiting window 2 ms, fast queue",
            "/predict", _litserve, dict, lambda answer: answer["probability"],
        ),
        Contender(
            "mlserver", "MLServer", "2 parallel workers, adaptive batching up to 64, 2 ms",
            "/v2/models/income/infer", _mlserver, _tensors, lambda answer: answer["outputs"][0]["data"][0],
        ),
        Contender(
            "bentoml", "BentoML", "2 workers, adaptive batching up to 64",
            "/predict", _bentoml, lambda record: {"records": [record]}, lambda answer: answer[0],
        ),
    ]  # fmt: skip


@contextmanager
def mlflow() -> Iterator[Server]:
    """MLflow's scoring server, which takes a CSV body."""
    python, port = python_of("mlflow"), free_port()
    folder = RUN / "mlflow-model"
    folder.parent.mkdir(parents=True, exist_ok=True)
    own = PEERS / "mlflow"
    subprocess.run(
        [python, "save_model.py", str(folder)], cwd=own, env=peer_variables(), timeout=_SAVE_SECONDS, check=True,
        capture_output=True,
    )  # fmt: skip
    command = [_program("mlflow", "mlflow"), "models", "serve", "--model-uri", str(folder), "--env-manager", "local",
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    paths = _with_programs("mlflow")
    with peer("mlflow", command, port, "/health", own, MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT="600", **paths) as server:
        yield server


def _flask() -> AbstractContextManager[Server]:
    port = free_port()
    command = [_program("flask", "gunicorn"), "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--workers",
               "2", "--threads", "8", "--keep-alive", "75", "--log-level", "warning", "app:app"]  # fmt: skip
    return peer("flask", command, port, "/healthz", PEERS / "flask")


def _litserve() -> AbstractContextManager[Server]:
    port = free_port()
    return peer("litserve", [python_of("litserve"), "app.py", str(port)], port, "/health", PEERS / "litserve")


def _mlserver() -> AbstractContextManager[Server]:
    port = free_port()
    command = [_program("mlserver", "mlserver"), "start", "."]
    variables = {
        "MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port()), "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_METRICS_PORT": str(free_port()), "MLSERVER_PARALLEL_WORKERS": "2", "MLSERVER_DEBUG": "false",
        "MLSERVER_ENVIRONMENTS_DIR": str(RUN / "mlserver-environments"),
        "MLSERVER_METRICS_DIR": str(_folder("mlserver-metrics")),
    }  # fmt: skip
    return peer("mlserver", command, port, "/v2/models/income/ready", PEERS / "mlserver", **variables)


def _bentoml() -> AbstractContextManager[Server]:
    port = free_port()
    command = [_program("bentoml", "bentoml"), "serve", "service:Income", "--host", "127.0.0.1", "--port", str(port)]
    variables = {"BENTOML_HOME": str(_folder("bentoml-home"))}
    return peer("bentoml", command, port, "/readyz", PEERS / "bentoml", **variables, **_with_programs("bentoml"))


def _tensors(record: Record) -> dict[str, Any]:
    """A record as the V2 protocol has it: a tensor per column."""
    return {"parameters": {"content_type": "pd"}, "inputs": [_tensor(name, value) for name, value in record.items()]}


def _tensor(name: str, value: Any) -> dict[str, Any]:
    if name in _INTEGERS:
        return {"name": name, "shape": [1, 1], "datatype": "INT64", "data": [value]}
    text = {"content_type": "str"}
    return {"name": name, "shape": [1, 1], "datatype": "BYTES", "parameters": text, "data": [value]}


def _program(name: str, program: str) -> str:
    return str(environment(name) / "bin" / program)


def _with_programs(name: str) -> dict[str, str]:
    """Some start others of their own programs by name."""
    return {"PATH": os.pathsep.join([str(environment(name) / "bin"), os.environ.get("PATH", "")])}


def _folder(name: str) -> Path:
    folder = RUN / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
