"""The manifests for Kubernetes: valid, complete beside the Procfile, and with few rights."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from jobs.settings import Settings
from ops.launch import read_procfile
from tests.ops.conftest import ROOT
from tests.ops.test_deployment import WORKER_BASE_MIB
from tests.ops.test_monitoring import documented_metrics

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ["1.30", "1.37"]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


KUSTOMIZATION: dict[str, Any] = documents(FOLDER / "kustomization.yaml")[0]
MANIFESTS = [document for name in KUSTOMIZATION["resources"] for document in documents(FOLDER / name)]
SCALER: dict[str, Any] = documents(FOLDER / "keda" / "scaled-object.yaml")[0]
SETTINGS = dict(literal.split("=", 1) for literal in KUSTOMIZATION["configMapGenerator"][0]["literals"])


def named(kind: str) -> dict[str, dict[str, Any]]:
    """The manifests of a kind by name."""
    return {document["metadata"]["name"]: document for document in MANIFESTS if document["kind"] == kind}


DEPLOYMENTS = named("Deployment")
PODS: dict[str, dict[str, Any]] = {
    name: document["spec"]["template"] for name, document in (DEPLOYMENTS | named("StatefulSet")).items()
}


def container(name: str) -> dict[str, Any]:
    [found] = PODS[name]["spec"]["containers"]
    return dict(found)


def mib(size: str) -> int:
    return int(size[:-2]) * {"Mi": 1, "Gi": 1024}[size[-2:]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "document", MANIFESTS, ids=lambda document: f"{document['kind']} {document['metadata']['name']}"
)
def test_every_manifest_is_valid(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_every_file_is_applied() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"} == set(KUSTOMIZATION["resources"])


def test_every_process_has_a_deployment_with_its_command() -> None:
    commands = {
        "bulk" if name == "worker" else name: command for name, command in read_procfile(ROOT / "Procfile").items()
    }
    del commands["store"]  # Redis takes its place
    assert {name: container(name)["command"] for name in DEPLOYMENTS} == commands


@pytest.mark.parametrize("name", PODS)
def test_pods_have_few_rights(name: str) -> None:
    pod = PODS[name]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for each in (*pod.get("initContainers", ()), *pod["containers"]):
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", PODS)
def test_pods_have_limits_of_memory_that_are_theirs(name: str) -> None:
    resources = container(name)["resources"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"]


@pytest.mark.parametrize("name", ["bulk", "interactive"])
def test_what_a_worker_may_take_fits_its_pod(name: str) -> None:
    count, each = (int(SETTINGS[f"SCORELINE_{of}"]) for of in (f"{name.upper()}_PROCESSES", "WORKER_MEMORY_MIB"))
    [files] = [
        mib(volume["emptyDir"]["sizeLimit"]) for volume in PODS[name]["spec"]["volumes"] if volume["name"] == "tmp"
    ]
    assert count * each + WORKER_BASE_MIB + files <= mib(container(name)["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", ["web", "bulk", "interactive", "recorder"])
def test_pods_that_use_models_begin_with_those_of_the_image_and_can_take_over_others(name: str) -> None:
    [begin], spec = PODS[name]["spec"]["initContainers"], PODS[name]["spec"]
    assert begin["image"] == container(name)["image"]
    [filled] = [mount["mountPath"] for mount in begin["volumeMounts"] if mount["name"] == "models"]
    [own] = [mount for mount in container(name)["volumeMounts"] if mount["name"] == "models"]
    assert begin["command"] == ["cp", "-R", f"{own['mountPath']}/.", f"{filled}/"]
    [data_folder] = re.findall(r"^ +SCORELINE_DATA_DIR=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert own == {"name": "models", "mountPath": f"{data_folder}/models"}
    assert [volume for volume in spec["volumes"] if volume["name"] == "models" and "emptyDir" in volume]
    assert begin["resources"]["limits"]["memory"] == begin["resources"]["requests"]["memory"]


def test_the_web_goes_on_while_workers_or_the_store_are_away() -> None:
    """Otherwise nobody could download what has been scored."""
    probes = [container("web")[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["path"] for probe in probes} == {"/healthz"}


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS.keys() - {"web"}))
def test_workers_are_not_restarted_because_the_store_is_away(name: str) -> None:
    assert "livenessProbe" not in container(name)
    assert container(name)["readinessProbe"]["exec"]["command"] == ["python", "-m", "worker.ping", name]


def test_a_node_can_be_drained_without_an_outage() -> None:
    budgets = named("PodDisruptionBudget")
    assert set(budgets) == {"web", "bulk", "interactive", "reconciler"}
    for name, budget in budgets.items():
        assert budget["spec"]["selector"]["matchLabels"] == PODS[name]["metadata"]["labels"]
        assert DEPLOYMENTS[name]["spec"]["replicas"] > budget["spec"].get("minAvailable", 0)


def test_only_the_web_is_reached_from_elsewhere() -> None:
    policies = named("NetworkPolicy")
    chosen = policies["scoreline"]["spec"]["podSelector"]["matchLabels"].items()
    assert all(chosen <= pod["metadata"]["labels"].items() for pod in PODS.values())
    assert "ingress" not in policies["scoreline"]["spec"]
    [source] = policies["redis"]["spec"]["ingress"][0]["from"]
    assert source["podSelector"]["matchLabels"].items() == chosen
    assert [port["port"] for rule in policies["web"]["spec"]["ingress"] for port in rule["ports"]] == [8000]


def test_services_choose_pods_that_are_there() -> None:
    for name, service in named("Service").items():
        assert service["spec"]["selector"] == PODS[name]["metadata"]["labels"]
    [path] = named("Ingress")["scoreline"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] in named("Service")


def test_the_settings_are_ones() -> None:
    known = {
        str(field.validation_alias or f"SCORELINE_{name.upper()}") for name, field in Settings.model_fields.items()
    }
    assert set(SETTINGS) <= known


def test_redis_keeps_what_it_acknowledged() -> None:
    command = container("redis")["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert (options["--appendonly"], options["--appendfsync"], options["--maxmemory-policy"]) == (
        "yes",
        "always",
        "noeviction",
    )
    assert (
        int(options["--maxmemory"].removesuffix("gb")) * 1.4
        <= mib(container("redis")["resources"]["limits"]["memory"]) / 1024
    )


def test_keda_scales_bulk_workers_by_a_metric_that_exists() -> None:
    assert SCALER["kind"] == "ScaledObject"
    assert SCALER["spec"]["scaleTargetRef"]["name"] in DEPLOYMENTS
    [trigger] = SCALER["spec"]["triggers"]
    names = set(re.findall(r"scoreline_\w+", trigger["metadata"]["query"]))
    assert names
    assert names <= documented_metrics()
