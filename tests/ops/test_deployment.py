"""Compose, Dockerfile and requirements against the Procfile, so that they cannot drift."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from jobs.settings import Settings
from ops.launch import read_procfile
from tests.ops.conftest import ROOT

PROCFILE = read_procfile(ROOT / "Procfile")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Those of a profile run only where they are asked for.
OPTIONAL = [name for name in SERVICES if "profiles" in SERVICES[name]]
OURS = [name for name in SERVICES if name not in ("redis", *OPTIONAL)]
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))
DEPLOYMENT = [
    *ROOT.glob("requirements*"),
    *(ROOT / name for name in ("Makefile", "Dockerfile", "docker-compose.yml", ".ci/run", ".pre-commit-config.yaml")),
]
# Settings that a container does not take from outside, and why.
NOT_MEANT = {
    "host": "the container listens on all its addresses",
    "port": "it is published as PORT",
    "tls_certificate": "a proxy in front has it",
    "tls_key": "a proxy in front has it",
    "data_dir": "the image has a folder for it",
    "max_memory_mib": "there is no embedded server",
    "redis_url": "there is one Redis",
    "redis_ca": "there is one Redis, reached without TLS",
    "store_replicas": "there is one Redis",
}
# What a worker has before it scores: its libraries and models, loaded once and shared, and its main process.
WORKER_BASE_MIB = 512
PIN = re.compile(
    r"[a-z0-9][a-z0-9._-]*==[0-9][A-Za-z0-9.!+]*( ; [a-z_]+ (<|>=|==|!=) '[^']+'( (or|and) [a-z_]+ (==|!=) '[^']+')*)?"
)


def dockerfile(instruction: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.split(maxsplit=1)[:1] == [instruction]]


def test_compose_has_the_procfiles_services() -> None:
    assert {"redis" if name == "store" else name for name in PROCFILE} == set(SERVICES) - set(OPTIONAL)


@pytest.mark.parametrize("name", OURS)
def test_compose_runs_the_procfiles_commands(name: str) -> None:
    assert SERVICES[name]["command"] == PROCFILE[name]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_restarts_is_checked_and_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= 15


def mib(size: str) -> int:
    """A size as compose has it, in MiB."""
    unit = {"m": 1, "g": 1024}[default_of(size).lower().rstrip("b")[-1]]
    return int(default_of(size).lower().rstrip("bmg")) * unit


def default_of(value: str) -> str:
    """What a value is where the environment says nothing else."""
    return re.sub(r"\$\{[A-Z_]+:-(.*)\}", r"\1", str(value))


def of_service(name: str, setting: str) -> str:
    """What a setting is in a service where the environment says nothing."""
    field, value = Settings.model_fields[setting], SERVICES[name]["environment"][f"SCORELINE_{setting.upper()}"]
    return str(field.default) if value is None else default_of(value)


def tmpfs_mib(service: dict[str, Any]) -> int:
    """The memory that files may take."""
    return sum(mib(match[1]) for match in (re.search(r"size=(\w+)", entry) for entry in service["tmpfs"]) if match)


def test_compose_is_what_compose_specifies() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", OURS)
def test_every_setting_reaches_every_service_or_is_not_meant_to(name: str) -> None:
    variables = [variable for variable in SERVICES[name]["environment"] if variable.startswith("SCORELINE_")]
    passed = {variable.removeprefix("SCORELINE_").lower() for variable in variables}
    assert set(Settings.model_fields) - passed - set(NOT_MEANT) == set()
    unknown = passed - set(Settings.model_fields)
    assert unknown == set()
    for variable, value in SERVICES[name]["environment"].items():
        # Without a value, the one from outside is passed on, and none where there is none.
        if value and variable.startswith("SCORELINE_") and variable.removeprefix("SCORELINE_").lower() not in NOT_MEANT:
            assert f"${{{variable}:-" in value


@pytest.mark.parametrize(("name", "processes"), [
    ("worker", "bulk_processes"), ("interactive", "interactive_processes"),
])  # fmt: skip
def test_what_a_worker_may_take_fits_its_container(name: str, processes: str) -> None:
    """Otherwise the system kills the worker, and not a record the process that it makes too large."""
    service, count, each = SERVICES[name], *(int(of_service(name, of)) for of in (processes, "worker_memory_mib"))
    assert count * each + WORKER_BASE_MIB + tmpfs_mib(service) <= mib(service["mem_limit"])


def test_the_web_may_have_the_threads_that_it_is_set_to() -> None:
    threads = int(of_service("web", "web_processes")) * int(of_service("web", "web_threads"))
    assert threads < SERVICES["web"]["pids_limit"]


def test_what_redis_may_take_fits_its_container() -> None:
    command = SERVICES["redis"]["command"]
    assert mib(command[command.index("--maxmemory") + 1]) * 1.4 <= mib(SERVICES["redis"]["mem_limit"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_as_few_rights_as_it_can(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_be_scaled(name: str) -> None:
    assert not {"container_name", "hostname"} & set(SERVICES[name])


@pytest.mark.parametrize("name", OURS)
def test_services_wait_for_a_healthy_redis(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert SERVICES[name]["environment"]["SCORELINE_REDIS_URL"] == "redis://redis:6379/0"


@pytest.mark.parametrize("role", ["worker", "interactive", "reconciler", "recorder"])
def test_the_health_check_asks_for_the_services_own_role(role: str) -> None:
    asked = "bulk" if role == "worker" else role
    assert SERVICES[role]["healthcheck"]["test"] == ["CMD", "python", "-m", "worker.ping", asked]


def test_redis_keeps_what_it_acknowledged_and_is_not_published() -> None:
    redis = SERVICES["redis"]
    command = redis["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--maxmemory"]
    assert "ports" not in redis
    assert redis["volumes"] == ["redis:/data"]
    assert "redis" in COMPOSE["volumes"]


def test_postgresql_runs_only_where_it_is_asked_for_and_keeps_its_data() -> None:
    service = SERVICES["postgresql"]
    assert service["profiles"] == ["postgresql"]
    assert "ports" not in service
    assert service["volumes"] == ["postgresql:/var/lib/postgresql/data"]
    assert re.fullmatch(r"postgres:\d+\.\d+-[a-z]+", service["image"])


def test_an_object_store_runs_only_where_it_is_asked_for_keeps_its_data_and_has_the_documented_bucket() -> None:
    service, docs = SERVICES["s3"], (ROOT / "docs" / "deployment.md").read_text()
    assert service["profiles"] == ["s3"]
    assert "ports" not in service
    assert service["volumes"] == ["s3:/data"]
    documented = dict(re.findall(r"^(AWS_[A-Z_]+|SCORELINE_STORAGE_URL)=(\S+)$", docs, re.MULTILINE))
    bucket = urlsplit(documented["SCORELINE_STORAGE_URL"])
    assert f"-bucket={bucket.hostname}" in service["command"]
    endpoint = urlsplit(documented["AWS_ENDPOINT_URL"])
    assert endpoint.hostname == "s3"
    assert f":{endpoint.port}/" in service["healthcheck"]["test"][-1]
    # Who sets a key for the server sets it for all who use it.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert service["environment"][name] == f"${{{name}:-}}"
    for name in OURS:
        assert set(documented) <= set(SERVICES[name]["environment"])
        assert not any(SERVICES[name]["environment"][variable] for variable in documented)


def test_the_web_reads_the_file_that_the_recorder_writes() -> None:
    for name in ("web", "recorder"):
        assert "history:/app/history" in SERVICES[name]["volumes"]
        assert default_of(SERVICES[name]["environment"]["SCORELINE_DATABASE_URL"]).startswith("sqlite:////app/history/")


@pytest.mark.parametrize("name", OURS)
def test_services_can_write_to_their_volumes_and_share_the_models(name: str) -> None:
    folders = {volume.partition(":")[2] for volume in SERVICES[name]["volumes"]}
    assert {"/app/var/models", "/app/scratch"} <= folders
    assert {volume.partition(":")[0] for volume in SERVICES[name]["volumes"]} <= set(COMPOSE["volumes"])
    [owned] = [line.partition("chown -R 10001:10001 ")[2].split() for line in dockerfile("RUN") if "chown -R" in line]
    assert folders <= set(owned)
    assert any("TMPDIR=/app/scratch" in line for line in dockerfile("ENV"))


def test_only_web_and_board_are_published_and_to_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"], "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]}


def test_monitoring_reads_the_files_that_are_there() -> None:
    mounted = [volume for name in ("prometheus", "grafana") for volume in SERVICES[name]["volumes"] if volume[0] == "."]
    assert mounted
    assert all((ROOT / volume.partition(":")[0]).is_file() and volume.endswith(":ro") for volume in mounted)
    assert {SERVICES[name]["profiles"][0] for name in ("prometheus", "grafana")} == {"monitoring"}


def test_images_are_pinned_by_version() -> None:
    bases = [line.split()[0] for line in dockerfile("FROM")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0])
    others = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert [image for image in others if not re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image)] == []


def test_the_image_runs_the_web_and_not_as_root() -> None:
    assert [int(number) > 0 for number in dockerfile("USER")[-1].split(":")] == [True, True]
    assert json.loads(dockerfile("CMD")[-1]) == PROCFILE["web"]
    assert any("/healthz" in line for line in dockerfile("HEALTHCHECK"))


def test_the_image_has_all_that_the_commands_import() -> None:
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    copied = {name for line in dockerfile("COPY") for name in re.findall(r"requirements\S*\.txt", line)}
    assert "requirements.txt" in copied
    assert {f"!{name}" for name in packages | copied} <= set(kept)


def test_explanations_and_traces_are_built_in() -> None:
    [install] = [line for line in dockerfile("RUN") if "pip install" in line]
    assert re.findall(r"-r (\S+)", install) == [
        "requirements.txt",
        "requirements-explain.txt",
        "requirements-tracing.txt",
    ]
    runtime, explain = (
        (ROOT / name).read_text().splitlines() for name in ("requirements.txt", "requirements-explain.txt")
    )
    assert set(runtime) <= set(explain)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_pinned_and_name_no_index(path: Path) -> None:
    assert [line for line in path.read_text().splitlines() if not PIN.fullmatch(line)] == []


def test_the_tools_for_tests_come_on_top_of_what_runs() -> None:
    runtime, development = (
        set((ROOT / name).read_text().split("\n")) for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert runtime <= development


@pytest.mark.parametrize("path", DEPLOYMENT, ids=lambda path: path.name)
def test_no_file_names_a_package_index(path: Path) -> None:
    assert not re.search(r"index-url|find-links|trusted-host|https?://(?!127\.0\.0\.1)", path.read_text())
