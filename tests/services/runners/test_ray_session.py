"""A session of Ray leaves the process its signal handlers, and its life."""

import fcntl
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from venv import EnvBuilder

import pytest

from services.errors import ClusterUnavailableError, is_disk_full
from services.ray_session import MARK, _remove_abandoned, _silent, ray_session

SCRIPT = """
import os, signal
from services.ray_session import ray_session
from services.shutdown import Shutdown

shutdown = Shutdown()
shutdown.listen()
with ray_session(""):
    os.kill(os.getpid(), signal.SIGTERM)
    print("asked to end:", shutdown.requested)
"""

STANDING_STILL = """
import psutil
from services import ray_session
from services.logging import configure_logging
from services.settings import Settings

configure_logging(Settings(), process="test")
ray_session.WATCH_SECONDS = 0.2
with ray_session.ray_session(""):
    import ray

    for process in psutil.Process().children(recursive=True):
        if process.name() == "gcs_server":
            process.suspend()
    ray.nodes()
"""

FOLDERS = """
import os, ray
from services.ray_session import ray_session

def session(fails):
    with ray_session(""):
        folders.append(ray._private.worker.global_worker.node.get_session_dir_path())
        assert os.path.isdir(folders[-1])
        if fails:
            raise ValueError

folders = []
try:
    session(fails=True)
except ValueError:
    left = os.path.exists(folders[0])
    os.utime(folders[0] + "/gtn-nas.lock", (0, 0))
    session(fails=False)
    print(left, [os.path.exists(folder) for folder in folders])
"""

CONFINED = """
import os, psutil
from services.ray_session import ray_session

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
with ray_session(""):
    import ray

    @ray.remote
    def answer():
        return 42

    ray.get(answer.remote())
    ours = {process.pid for process in psutil.Process().children(recursive=True)} | {psutil.Process().pid}
    connections = psutil.net_connections("inet")
    listening = [each.laddr.ip for each in connections if each.status == "LISTEN" and each.pid in ours]
    addresses = {address.removeprefix("::ffff:") for address in listening}
    print(ray.cluster_resources()["CPU"], len(listening) > 2, addresses)
"""

FREEING = """
import gc, threading, time
from services.ray_session import ray_session

def free(references):
    while references:
        cycle = [references.pop()]
        cycle.append(cycle)
        del cycle
        time.sleep(0.0005)

with ray_session(""):
    import ray
    references = [ray.put(number) for number in range(20_000)]
    gc.set_threshold(20)
    threading.Thread(target=free, args=(references,), daemon=True).start()
    time.sleep(0.2)
print("left")
"""

HOMELESS = """
import os, psutil, pwd, time
from services.ray_session import ray_session

def unlisted(number):
    raise KeyError(number)

del os.environ["HOME"]
pwd.getpwuid = unlisted
with ray_session(""):
    from ray import tune
    time.sleep(1)
    processes = psutil.Process().children(recursive=True)
    lines = [" ".join(each.cmdline()) for each in processes if each.name() != "raylet"]  # it names theirs
    print("workers:", sum("default_worker" in line or "ray::IDLE" in line for line in lines))
"""

ENVIRONMENT = """
import os
from services.ray_session import ray_session

with ray_session(""):
    import ray

    @ray.remote(runtime_env={"env_vars": {"ASKED": "yes"}})
    def answer():
        return os.environ["ASKED"]

    print(ray.get(answer.remote(), timeout=240))
"""

MODULES = """
import os
from services.ray_session import ray_session

with ray_session(""):
    import ray

    @ray.remote
    def module():
        import mine
        return mine.WHERE

    print(ray.get(module.remote(), timeout=240), os.getcwd() == os.environ["STARTED_IN"])
"""


def test_a_local_session_has_the_processors_of_this_process_and_is_reached_from_this_machine_alone() -> None:
    """As in a job of a batch system, which may use a few processors of a large machine."""
    assert last_words(CONFINED) == ["1.0 True {'127.0.0.1'}"]


def test_a_user_that_the_system_does_not_list_may_use_ray_which_starts_no_worker_before_its_time() -> None:
    """As in a container that runs under any number."""
    environment = {name: value for name, value in os.environ.items() if "prestart" not in name}
    assert last_words(HOMELESS, env=environment) == ["workers: 0"]


def test_a_local_session_leaves_its_folder_only_after_a_failure_and_for_a_day() -> None:
    assert last_words(FOLDERS) == ["True [False, False]"]


def test_a_process_whose_local_ray_stands_still_ends_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STANDING_STILL], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 1
    assert "local Ray stands still" in done.stdout + done.stderr


def test_a_local_ray_whose_only_node_is_lost_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": False}])
    assert _silent(threading.Event()) == "raylet"
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": False}, {"Alive": True}])
    assert _silent(threading.Event()) is None


def test_folders_of_sessions_that_live_or_are_not_ours_stay(tmp_path: Path) -> None:
    for name in ("killed", "living", "recent", "strange"):
        (tmp_path / f"session_{name}").mkdir()
    with (tmp_path / "session_living" / MARK).open("w") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        (tmp_path / "session_recent" / MARK).touch()
        (tmp_path / "session_killed" / MARK).touch()
        for name in ("killed", "living"):
            os.utime(tmp_path / f"session_{name}" / MARK, (0, 0))
        _remove_abandoned(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "session_living",
        "session_recent",
        "session_strange",
    ]


def test_a_process_does_not_import_ray_before_its_session() -> None:
    """Ray reads on its import where it is to listen."""
    modules = ("search_runner.__main__", "meta_worker.__main__", "meta_worker.worker")
    imports = ", ".join(f"services.{name}" for name in modules)
    assert last_words(f"import sys, {imports}; print('ray' in sys.modules)") == ["False"]


def test_a_session_ends_in_order_while_another_thread_frees_objects_of_ray() -> None:
    assert last_words(FREEING) == ["left"]


def test_a_signal_reaches_the_processs_own_handler_in_a_local_ray_that_started_against_odds(
    tmp_path: Path,
) -> None:
    """Ray's sockets would not fit into the temporary folder, the working folder has been removed, and Ray's
    own processes do not start without docstrings.
    """
    removed = f"import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())\n{SCRIPT}"
    changes = {"PYTHONOPTIMIZE": "2", "TMPDIR": str(tmp_path / ("a-long-name-" * 5))}
    assert last_words(removed, cwd=tmp_path, env=with_folder(changes)) == ["asked to end: True"]


def test_a_local_ray_starts_in_a_folder_that_one_may_not_come_back_to(tmp_path: Path) -> None:
    """As of the user who ran sudo. Root may go everywhere: what keeps it out is the folder's new name.

    The temporary folder is one that Ray's files cannot name.
    """
    moved = tmp_path / "working"
    moved.mkdir()
    script = f"""
import os
from services import ray_session
chdir = os.chdir
def refuse(folder):
    if str(folder) != "/":
        raise PermissionError(13, "Permission denied", str(folder))
    chdir(folder)
os.chdir = refuse
{SCRIPT}"""
    environment = with_folder({"TMPDIR": str(tmp_path / "Dä tä")})
    assert last_words(script, cwd=moved, env=environment) == ["asked to end: True"]


def with_folder(changes: dict[str, str]) -> dict[str, str]:
    """The environment with those changes; the temporary folder is made."""
    Path(changes["TMPDIR"]).mkdir()
    environment = {**os.environ, **changes}
    environment.pop("RAY_TMPDIR", None)
    return environment


def test_workers_import_from_pythonpath_and_not_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "mine.py").write_text("WHERE = 'library'")
    (tmp_path / "mine.py").write_text("WHERE = 'working folder'")
    paths = os.pathsep.join(["library", *(path for path in sys.path if path)])
    environment = {**os.environ, "PYTHONPATH": paths, "STARTED_IN": str(tmp_path)}
    assert last_words(MODULES, cwd=tmp_path, env=environment) == ["library True"]


def test_workers_start_by_a_python_in_a_folder_with_a_space(tmp_path: Path) -> None:
    """Workers of Tune have environments of their own, as the one here."""
    folder = tmp_path / "My projects' folder"
    EnvBuilder(symlinks=True).create(folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert last_words(ENVIRONMENT, python=folder / "bin" / "python", env=environment) == ["yes"]


def test_workers_below_uv_run_are_those_of_any_other_start(tmp_path: Path) -> None:
    """Ray looks for the command line; left to itself, it gives workers a copy of the working folder."""
    (tmp_path / "script.py").write_text(ENVIRONMENT)
    (tmp_path / "run").write_text(f"{shlex.quote(sys.executable)} script.py\ncheck=$?\nexit $check\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = ["uv", "run"]
    done = subprocess.run(
        command, executable="/bin/sh", cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["yes"]), done.stderr


def test_a_ray_that_does_not_start_is_a_cluster_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(**_options: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.init", too_slow)
    with (
        pytest.raises(ClusterUnavailableError, match="local Ray did not start"),
        ray_session(""),
    ):
        pass


def test_a_disk_without_room_for_a_local_ray_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search waits for room, and says so."""
    monkeypatch.setenv("RAY_TMPDIR", "/no such folder")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    with (
        pytest.raises(OSError, match="No space left on device: '/no such folder/ray'") as caught,
        ray_session(""),
    ):
        pass
    assert is_disk_full(caught.value)


def last_words(script: str, python: str | Path = sys.executable, **options: Any) -> list[str]:
    """The last line that a Python prints in a process of its own, which must end well."""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    lines: list[str] = done.stdout.splitlines()
    return lines[-1:]
