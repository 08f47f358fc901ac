"""What a worker loads before it knows what it has to do: there may be hundreds of them on a node."""

import subprocess
import sys

HEAVY = {"torch", "scipy", "sklearn", "optuna", "pandas"}


def test_a_worker_starts_without_what_its_candidates_may_not_need() -> None:
    code = f"import sys, nas.cluster.evaluator; print(sorted({HEAVY} & {{*sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
