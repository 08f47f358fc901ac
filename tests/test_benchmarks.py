"""Every script of benchmarks/ starts after `make install`, and the quick ones run at their smallest."""

import importlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import get_search_space

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text())
LEARNERS = '{"inner_steps": 1, "batch_size": 10, "outer_batch_size": 10}'
QUICK = {
    "bench_learning_speed_digits": "bench_learning_speed.py --seeds=1 --learners=2 --meta-steps=1"
    f" --config='{LEARNERS}'",
    "bench_memory_format": "bench_memory_format.py --settings=1 --architectures=2 --repeats=1",
    "bench_proposals": "bench_proposals.py --known=2 --proposals=2 --seeds=1",
    "bench_search": "bench_search.py search --table=table.csv --seeds=1 --evaluations=10"
    " --algorithms=random_search",
    "bench_throughput": "bench_throughput.py --ways='bare loop' --repeats=1 --real-candidates=3"
    " --slots=1 --candidates=3 --seconds=0.01",
}
"""What writes results of this name within seconds."""

ONE_CELL = (
    "bench_meta_gradient.py --form=recompute --steps=1 --batch-size=2 --outer-batch-size=2 --repetitions=1"
)
WITHOUT_DEVICE = [
    "bench_gpu_throughput.py",
    "bench_learning_speed.py --device=cuda",
    "bench_meta_gradient.py --device=cuda",
]
TOO_FEW = [
    "bench_memory_format.py --architectures=1",
    "bench_scaling.py --candidates=1",
    "bench_scaling.py --rounds=1",
    "bench_throughput.py --candidates=5",
    "bench_throughput.py --real-candidates=2",
]
IN_ONE_PROCESS = """
import contextlib, io, json, runpy, shlex, sys, traceback
ended = {}
folder, *commands = sys.argv[1:]
for command in commands:
    script, *options = shlex.split(command)
    sys.argv = [script, *options]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_path(f"{folder}/{script}", run_name="__main__")
            end = None
        except SystemExit as exit:
            end = exit.code
        except Exception:
            end = traceback.format_exc()
    ended[command] = [end, printed.getvalue()]
print(json.dumps(ended))
"""

pytestmark = [pytest.mark.xdist_group("benchmarks"), pytest.mark.timeout(600)]


def run(*arguments: str, folder: Path) -> str:
    """What it printed. Results go into a folder of their own: those that are committed stay as they are."""
    environment = os.environ | {
        "BENCHMARK_RESULTS": str(folder),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def ended(results: Path) -> dict[str, Any]:
    """What each command ended with and printed: all in one process, so that imports are paid once."""
    space, rng = get_search_space("nasbench201"), np.random.default_rng(0)
    encodings = {space.sample(rng).encoding for _ in range(400)}
    rows = [f"{encoding},{90 + rng.random()}" for encoding in encodings]
    (results / "table.csv").write_text("\n".join(["architecture,accuracy", *rows]))
    helps = [f"{script} --help" for script in SCRIPTS]
    commands = [*helps, *WITHOUT_DEVICE, *TOO_FEW, *QUICK.values(), ONE_CELL]
    found: dict[str, Any] = json.loads(run("-c", IN_ONE_PROCESS, str(BENCHMARKS), *commands, folder=results))
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_tells_its_options(script: str, ended: dict[str, Any]) -> None:
    end, printed = ended[f"{script} --help"]
    assert end == 0
    assert printed.startswith(f"usage: {script}")


@pytest.mark.parametrize("name", QUICK)
def test_it_writes_what_it_measured(name: str, ended: dict[str, Any], results: Path) -> None:
    end, printed = ended[QUICK[name]]
    assert end is None, end
    written = results / f"{name}.json"
    assert str(written) in printed
    assert json.loads(written.read_text())["commit"]


def test_a_picture_is_drawn_where_matplotlib_is_installed(ended: dict[str, Any], results: Path) -> None:
    assert (results / "bench_search.svg").exists() == bool(find_spec("matplotlib"))


def test_one_meta_gradient_is_measured(ended: dict[str, Any]) -> None:
    end, printed = ended[ONE_CELL]
    assert end is None, end
    assert json.loads(printed)["seconds"]["n"] == 1


@pytest.mark.parametrize("command", WITHOUT_DEVICE)
def test_a_missing_device_is_told_in_one_line(command: str, ended: dict[str, Any]) -> None:
    end, _ = ended[command]
    assert end.startswith("no device cuda here, nothing is measured: --device cpu")
    assert "\n" not in end


@pytest.mark.parametrize("command", TOO_FEW)
def test_too_few_to_measure_by_are_refused(command: str, ended: dict[str, Any]) -> None:
    assert ended[command] == [2, ""]  # as of any wrong option


CELL = {"seconds": {"min": 1.5}, "peak_bytes": 2**20, "tensor_bytes": 2**20}


@pytest.fixture
def meta_gradient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(importlib.import_module("conditions"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench_meta_gradient.py", "--steps", "2"])
    return importlib.import_module("bench_meta_gradient")


def test_nothing_is_written_where_no_meta_gradient_could_be_measured(
    meta_gradient: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(meta_gradient, "in_fresh_process", lambda *_: {"error": "out of memory"})
    with pytest.raises(SystemExit, match="nothing could be measured: out of memory"):
        meta_gradient.main()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("installed", [False, True])
def test_a_baseline_that_is_not_installed_is_left_out_and_told(
    installed: bool, meta_gradient: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meta_gradient, "find_spec", lambda _: installed or None)
    monkeypatch.setattr(meta_gradient, "in_fresh_process", lambda *_: CELL)
    meta_gradient.main()
    printed = capsys.readouterr().out
    assert ("'form': 'higher'" in printed) == installed
    assert ('pip install -e ".[benchmarks]"' in printed) != installed


def test_ratios_are_told_where_their_steps_were_measured(
    meta_gradient: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meta_gradient, "in_fresh_process", lambda *_: CELL)
    meta_gradient.main()
    assert "{}" not in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["bench_meta_gradient.py", "--steps", "64"])
    meta_gradient.main()
    assert "recompute {'memory_of_plain_at_64_over_ours': 1.0" in capsys.readouterr().out


def test_meta_gradients_are_told_in_the_time_that_was_taken(
    meta_gradient: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(meta_gradient, "in_fresh_process", lambda *_: CELL)
    for device, heading in {
        "cpu": "one meta step on cpu: processor seconds",
        "cuda": "one meta step on cuda: seconds",
    }.items():
        monkeypatch.setattr(meta_gradient, "require_device", lambda _: None)
        monkeypatch.setattr(sys, "argv", [*sys.argv, "--device", device])
        meta_gradient.main()
        assert heading in capsys.readouterr().out


def test_the_store_is_measured(results: Path) -> None:
    sizes = ["--candidates=1000", "--searches=4", "--inserts=8", "--repeats=1", "--engines=sqlite"]
    run(str(BENCHMARKS / "bench_store.py"), *sizes, folder=results)
    measured = json.loads((results / "bench_store.json").read_text())["sqlite"]
    assert measured["http"].keys() == measured["store"].keys()
