"""docker/kuberay.yaml against the Kubernetes schemas, Ray's own autoscaler and the code it starts."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from typer.testing import CliRunner

from services.cli import app
from services.controller.routes import ROUTERS
from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
RESOURCES: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "docker" / "kuberay.yaml").read_text()))
CLUSTER = next(resource for resource in RESOURCES if resource["kind"] == "RayCluster")
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]


def test_follows_the_kubernetes_schemas() -> None:
    pods = [{"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]} for group in GROUPS]
    for resource in [*pods, *(resource for resource in RESOURCES if resource is not CLUSTER)]:
        kubernetes_validate.validate(resource, "1.34", strict=True)


def test_rays_autoscaler_reads_the_groups() -> None:
    config = _derive_autoscaling_config_from_ray_cr(CLUSTER)
    nodes = config["available_node_types"]
    assert nodes["headgroup"]["resources"]["CPU"] == 0
    assert (nodes["cpu"]["min_workers"], nodes["cpu"]["max_workers"]) == (1, 16)
    assert (nodes["gpu"]["min_workers"], nodes["gpu"]["max_workers"]) == (0, 32)
    assert nodes["gpu"]["resources"]["GPU"] == 1
    assert "GPU" not in nodes["cpu"]["resources"]
    assert config["idle_timeout_minutes"] == 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.get("groupName", "head"))
def test_ray_start_knows_the_parameters(group: dict[str, Any]) -> None:
    from ray.scripts.scripts import cli as ray_cli  # its import warns about Ray's own code

    flags = {option for parameter in ray_cli.commands["start"].params for option in parameter.opts}
    assert {f"--{name}" for name in group["rayStartParams"]} <= flags


def test_every_ray_process_is_under_token_authentication() -> None:
    options = CLUSTER["spec"]["authOptions"]  # KubeRay sets Ray's variables in all pods of the cluster
    assert options["mode"] == "token"
    (controller,) = [each for each in containers() if each.get("command") == ["gtn-nas", "serve"]]
    variables = {variable["name"]: variable for variable in controller["env"]}
    assert variables["RAY_AUTH_MODE"]["value"] == "token"
    token = variables["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert token == {"name": options["secretName"], "key": "auth_token"}  # the key that KubeRay wants


def test_trainings_find_what_they_need_on_every_node_that_has_room_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (controller,) = [each for each in containers() if each.get("command") == ["gtn-nas", "serve"]]
    (text,) = [each["value"] for each in controller["env"] if each["name"] == "GTN_NAS_TRAINING_RESOURCES"]
    monkeypatch.setenv("GTN_NAS_TRAINING_RESOURCES", text)
    needs = Settings().training_resources
    nodes = _derive_autoscaling_config_from_ray_cr(CLUSTER)["available_node_types"].values()
    assert any(all(node["resources"].get(kind, 0) >= need for kind, need in needs.items()) for node in nodes)
    for group in GROUPS:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"name": "data", "mountPath": "/var/lib/gtn-nas"} in container["volumeMounts"]
        volumes = {volume.pop("name"): volume for volume in deepcopy(pod["volumes"])}
        assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "gtn-nas"
        assert volumes["secrets"] == {"secret": {"secretName": "gtn-nas-database"}}


def test_secrets_are_files_that_the_settings_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = {each["data"]["GTN_NAS_SECRETS_DIR"] for each in RESOURCES if each["kind"] == "ConfigMap"}
    for container in containers():
        assert all("secretRef" not in each for each in container["envFrom"])
        assert folder in {each["mountPath"] for each in container["volumeMounts"]}
    made = re.findall(r"from-literal=(gtn_nas_\w+)", (ROOT / "docs" / "cluster.md").read_text())
    assert made == ["gtn_nas_database_url", "gtn_nas_api_key"]
    (tmp_path / "..2026_11_30").mkdir()  # as Kubernetes mounts them
    (tmp_path / "..data").symlink_to("..2026_11_30")
    for name in made:
        (tmp_path / "..data" / name).write_text(f"the secret {name}")
        (tmp_path / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("GTN_NAS_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.resolved_database_url == "the secret gtn_nas_database_url"
    assert settings.api_key is not None


def test_no_container_may_become_more_than_it_is() -> None:
    options = CLUSTER["spec"]["autoscalerOptions"]  # of a container that KubeRay adds to the head
    for each in [options, *containers()]:
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    head, *others = pods()
    assert "automountServiceAccountToken" not in head  # the autoscaler asks Kubernetes for nodes
    assert [pod["automountServiceAccountToken"] for pod in others] == [False] * 3


def test_rays_ports_answer_its_own_pods_and_the_controller_alone() -> None:
    (policy,) = [each["spec"] for each in RESOURCES if each["kind"] == "NetworkPolicy"]
    (deployment,) = [each["spec"] for each in RESOURCES if each["kind"] == "Deployment"]
    of_ray = {"ray.io/cluster": CLUSTER["metadata"]["name"]}  # a label that KubeRay gives
    from_ray, from_controller = policy["ingress"]
    assert policy["podSelector"]["matchLabels"] == of_ray
    assert from_ray == {"from": [{"podSelector": {"matchLabels": of_ray}}]}
    labels = deployment["template"]["metadata"]["labels"]
    assert from_controller == {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": 8265}]}


def test_the_memory_of_what_serves_and_computes_is_bounded() -> None:
    assert all("memory" in each["resources"]["limits"] for pod in pods() for each in pod["containers"])


def test_nodes_run_the_images_ray_version() -> None:
    dockerfile = (ROOT / "docker" / "ray-node.Dockerfile").read_text()
    assert f"ARG RAY_VERSION={CLUSTER['spec']['rayVersion']}\n" in dockerfile


def test_commands_exist() -> None:
    commands = [container["command"] for container in containers() if "command" in container]
    assert ["gtn-nas", "serve"] in commands
    for program, *words in commands:
        assert program == "gtn-nas"
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_settings_know_every_variable() -> None:
    names = {name for resource in RESOURCES for name in resource.get("data", {})}
    names |= {variable["name"] for container in containers() for variable in container.get("env", [])}
    assert "GTN_NAS_RAY_JOBS_URL" in names
    for name in names:
        assert name.startswith("RAY_") or name.removeprefix("GTN_NAS_").lower() in Settings.model_fields


def test_no_service_sets_a_variable_that_the_settings_read() -> None:
    assert [pod["enableServiceLinks"] for pod in pods()] == [False] * 4  # three groups and the controller


def test_a_changed_image_reaches_the_running_nodes() -> None:
    assert CLUSTER["spec"]["upgradeStrategy"] == {"type": "Recreate"}


def test_the_gpu_group_may_run_on_nodes_that_are_kept_for_gpus() -> None:
    tolerating = [group["groupName"] for group in GROUPS[1:] if "tolerations" in group["template"]["spec"]]
    assert tolerating == ["gpu"]


def test_probes_ask_something_that_answers_and_give_it_time() -> None:
    (controller,) = [each for each in containers() if each.get("command") == ["gtn-nas", "serve"]]
    ours = {route.path for router in ROUTERS for route in router.routes}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert controller[name]["httpGet"]["path"] in ours
        assert controller[name]["timeoutSeconds"] == 5


def test_what_it_refers_to_is_there_or_made_by_the_documented_commands() -> None:
    made = {(resource["kind"], resource["metadata"]["name"]) for resource in RESOURCES}
    manual = (ROOT / "docs" / "cluster.md").read_text()
    secrets = set(re.findall(r"kubectl create secret generic (\S+)", manual))
    assert {name for kind, name in references(RESOURCES) if kind == "Secret"} == secrets
    assert {reference for reference in references(RESOURCES) if reference[0] != "Secret"} <= made


def pods() -> Iterator[dict[str, Any]]:
    deployments = [resource["spec"] for resource in RESOURCES if resource["kind"] == "Deployment"]
    for owner in [*GROUPS, *deployments]:
        yield owner["template"]["spec"]


def containers() -> Iterator[dict[str, Any]]:
    for pod in pods():
        yield from [*pod.get("initContainers", []), *pod["containers"]]


def references(part: Any) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that the manifest mentions by name."""
    if isinstance(part, list):
        for item in part:
            yield from references(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            match key:
                case "secretRef" | "secretKeyRef":
                    yield "Secret", value["name"]
                case "secret" if "name" in value:
                    yield "Secret", value["name"]
                case "secretName":
                    yield "Secret", value
                case "configMapRef":
                    yield "ConfigMap", value["name"]
                case "claimName":
                    yield "PersistentVolumeClaim", value
                case _:
                    yield from references(value)
