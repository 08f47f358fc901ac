"""docker/ray-cluster.yaml against the schema of Ray's cluster launcher, and against the code it starts."""

import re
import shlex
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

from services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "ray-cluster.yaml").read_text())
NODES: dict[str, dict[str, Any]] = CLUSTER["available_node_types"]


def test_rays_launcher_takes_it() -> None:
    validate_config(prepare_config(CLUSTER))


def test_a_field_that_ray_does_not_know_would_be_refused() -> None:
    with pytest.raises(Exception, match="max_wrokers"):
        validate_config(prepare_config({**CLUSTER, "max_wrokers": 1}))


def test_aws_gives_both_machines_as_they_are_described(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An acted AWS, of Ray's own launcher: keys, networks, and then a machine of each type."""
    account = "000000000000"  # as in the file
    monkeypatch.setenv("HOME", str(tmp_path))  # where the key is put
    monkeypatch.setenv("MOTO_ACCOUNT_ID", account)
    (tmp_path / ".ssh").mkdir()
    with mock_aws():
        profiles = boto3.client("iam", region_name="eu-central-1")
        for name in ("gtn-nas-head", "gtn-nas-worker"):
            profiles.create_instance_profile(InstanceProfileName=name)
        config = bootstrap_aws(prepare_config(deepcopy(CLUSTER)))
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for name, node in config["available_node_types"].items():
            tags = {TAG_RAY_NODE_KIND: name, TAG_RAY_USER_NODE_TYPE: name}
            (machine,) = provider.create_node(node["node_config"], tags, 1).values()
            assert machine.instance_type == NODES[name]["node_config"]["InstanceType"]
            assert (
                machine.iam_instance_profile["Arn"] == NODES[name]["node_config"]["IamInstanceProfile"]["Arn"]
            )


def test_gpu_machines_have_what_ray_is_told() -> None:
    machine, resources = NODES["gpu"]["node_config"]["InstanceType"], NODES["gpu"]["resources"]
    with mock_aws():
        known = boto3.client("ec2", region_name="eu-central-1").describe_instance_types(
            InstanceTypes=[machine]
        )
    (described,) = known["InstanceTypes"]
    assert described["VCpuInfo"]["DefaultVCpus"] == resources["CPU"]
    assert sum(gpus["Count"] for gpus in described["GpuInfo"]["Gpus"]) == resources["GPU"]


def test_gpu_machines_come_and_go_and_the_head_scores_nothing() -> None:
    head, gpu = NODES[CLUSTER["head_node_type"]], NODES["gpu"]
    assert head["resources"]["CPU"] == 0
    assert (gpu["min_workers"], gpu["resources"]["GPU"]) == (0, 1)
    assert gpu["max_workers"] <= CLUSTER["max_workers"]
    assert CLUSTER["idle_timeout_minutes"] > 0


def test_no_machine_starts_from_rays_default_image_or_without_rights() -> None:
    for node in NODES.values():
        assert re.fullmatch(r"ami-[0-9a-f]{17}", node["node_config"]["ImageId"])
        assert node["node_config"]["IamInstanceProfile"]["Arn"].startswith("arn:aws:iam::")


def test_the_image_has_the_programs_that_the_launcher_runs_in_it() -> None:
    dockerfile = (ROOT / "docker" / "ray-node.Dockerfile").read_text()
    (packages,) = re.findall(r"apt-get install --yes --no-install-recommends (.*) \\", dockerfile)
    assert {"openssh-client", "rsync"} <= set(packages.split())


def test_workers_see_their_devices_and_the_image_asks_for_none() -> None:
    assert CLUSTER["docker"]["worker_run_options"] == ["--env NVIDIA_VISIBLE_DEVICES=all"]
    assert "NVIDIA_VISIBLE_DEVICES" not in (ROOT / "docker" / "ray-node.Dockerfile").read_text()


def test_the_launcher_sizes_the_shared_memory() -> None:
    assert not any("--shm-size" in option for option in CLUSTER["docker"]["run_options"])


def test_every_node_is_under_token_authentication_and_reads_the_settings() -> None:
    variables = dict(re.findall(r"--env (\w+)=(\S+)", " ".join(CLUSTER["docker"]["run_options"])))
    assert variables["RAY_AUTH_MODE"] == "token"
    secrets = CLUSTER["file_mounts"]
    assert variables["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
    assert variables["GTN_NAS_SECRETS_DIR"] in secrets
    for name in variables:
        assert name.startswith("RAY_") or name.removeprefix("GTN_NAS_").lower() in Settings.model_fields


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("role", ["head", "worker"])
def test_rays_commands_exist(role: str) -> None:
    from ray.scripts.scripts import cli as ray_cli  # its import warns about Ray's own code

    for line in CLUSTER[f"{role}_start_ray_commands"]:
        program, command, *flags = shlex.split(line)
        assert program == "ray"
        ray_cli.commands[command].make_context(command, flags)


def test_its_images_are_those_of_the_manifest() -> None:
    manifest = (ROOT / "docker" / "kuberay.yaml").read_text()
    for name in ("image", "worker_image"):
        assert f"image: {CLUSTER['docker'][name]}\n" in manifest
