"""Memory that is left, under the limits of control groups of both versions."""

from pathlib import Path

import pytest

from gtn_core import available_memory
from gtn_core.available_memory import available_bytes

UNLIMITED = 9223372036854771712  # as version 1 says it


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 1,000 bytes left, whose control groups lie in a folder of the test."""
    monkeypatch.setattr(available_memory, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(available_memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(available_memory, "_of_machine", lambda: 1000)


def limit(group: Path, most: int | str, *, used: int = 450, cached: int = 360) -> None:
    """Limits a group of version 2."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 80\ninactive_file {cached - 60}\nactive_file 60\n")


def limit_by_version_1(group: Path, most: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(f"{most}\n")
    (group / "memory.usage_in_bytes").write_text("450\n")
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 300\ntotal_active_file 60\n")


def test_what_a_process_keeps_of_a_gpu_for_itself_is_free_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (100, 1000))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: 500)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 200)
    assert available_bytes("cuda") == 400


def test_a_machine_without_control_groups_has_what_it_says() -> None:
    assert available_bytes("cpu") == 1000


def test_a_machine_that_tells_nothing_has_what_cannot_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> None:
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.undo()  # of the fixture: the real way to ask
    monkeypatch.setattr("psutil.virtual_memory", hidden)
    monkeypatch.setattr(available_memory, "OWN_GROUPS", Path("/nonexistent"))
    assert available_bytes("cpu") is None


def test_cached_files_are_room_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/\n")
    rooms = []
    for most in (500, 50, "max"):
        limit(tmp_path, most)
        rooms.append(available_bytes("cpu"))
    assert rooms == [500 - 450 + 360, 0, 1000]


def test_the_limit_of_a_batch_job_lies_above_its_processes_own_group(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/system.slice/slurmstepd.scope/job_12/step_0/user/task_0\n")
    job = tmp_path / "system.slice" / "slurmstepd.scope" / "job_12"
    limit(job / "step_0" / "user" / "task_0", "max")
    limit(job, 600, used=100, cached=60)
    limit(tmp_path / "system.slice", 900, used=100, cached=60)
    limit(tmp_path / "other.slice", 1, used=0, cached=60)
    assert available_bytes("cpu") == 600 - 100 + 60


@pytest.mark.parametrize("group", ["slurm/uid_7/job_12", "."])
def test_version_1_is_read_too(tmp_path: Path, group: str) -> None:
    """In a container the process's group is told by its name outside, and lies at the root."""
    (tmp_path / "own").write_text("9:name=systemd:/x\n4:cpuset,memory:/slurm/uid_7/job_12/step_0\n0::/\n")
    limit_by_version_1(tmp_path / "memory", UNLIMITED)
    limit_by_version_1(tmp_path / "memory" / group, 600)
    assert available_bytes("cpu") == 600 - 450 + 360


def test_a_group_outside_of_what_can_be_seen_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/../../job\n")
    limit(tmp_path, 500)
    assert available_bytes("cpu") == 500 - 450 + 360
