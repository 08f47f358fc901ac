"""Every script of benchmarks/ starts after `make install`, and the quick ones run at their smallest."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nas import get_search_space

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *options: str, results: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"benchmarks/{script}.py", *options]
    environment = os.environ | {"BENCHMARK_RESULTS": str(results), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def results_of(script: str, *options: str, folder: Path) -> dict[str, Any]:
    """What it wrote, into a folder of its own: committed results stay as they are."""
    done = run(script, *options, results=folder)
    assert done.returncode == 0, done.stderr
    (written,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(written.read_text())
    return found


def test_the_store_is_measured(tmp_path: Path) -> None:
    sizes = ["--candidates=1000", "--searches=4", "--inserts=8", "--repeats=1", "--engines=sqlite"]
    measured = results_of("bench_store", *sizes, folder=tmp_path)["sqlite"]
    assert measured["http"].keys() == measured["store"].keys()


def test_searches_are_compared_with_or_without_a_picture(tmp_path: Path) -> None:
    space, rng = get_search_space("nasbench201"), np.random.default_rng(0)
    rows = [
        f"{encoding},{90 + rng.random()}" for encoding in {space.sample(rng).encoding for _ in range(400)}
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["architecture,accuracy", *rows]))
    sizes = ["--seeds=1", "--evaluations=10", "--algorithms=random_search"]
    measured = results_of("bench_search", "search", f"--table={table}", *sizes, folder=tmp_path)
    assert measured["rewards"]["table"]["algorithms"].keys() == {"random_search"}
    assert (tmp_path / "bench_search.svg").exists() == bool(find_spec("matplotlib"))
