"""What a measured number travels with: hardware, versions, commit, and a spread."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("BENCHMARK_RESULTS") or ROOT / "benchmarks" / "results")


def conditions() -> dict[str, Any]:
    """The machine, the software and the state of the repository."""
    return {
        "hardware": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "ray", "numpy")},
        },
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+changes" if _git("status", "--porcelain") else ""),
    }


def require_device(name: str, remedy: str = "--device cpu measures the CPU") -> None:
    """End in one line where a GPU is asked for and there is none."""
    import torch  # the others need none

    if torch.device(name).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"no device {name} here, nothing is measured: {remedy}")


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, median, 95th percentile, standard deviation and number of values."""
    return {
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "p95": statistics.quantiles(values, n=20)[-1],
        "standard_deviation": statistics.stdev(values),
        "n": len(values),
    }


def write_results(name: str, results: dict[str, Any]) -> Path:
    """Keep results beside the benchmark that made them, or in the folder that BENCHMARK_RESULTS names."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    return path


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
