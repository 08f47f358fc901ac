"""What a worker loads before it knows what it has to do: there may be hundreds of them on a node."""

import subprocess
import sys

HEAVY = {"torch", "scipy", "sklearn", "optuna", "pandas"}


def test_a_worker_starts_without_what_its_candidates_may_not_need() -> None:
    code = f"import sys, nas.cluster.evaluator; print(sorted({HEAVY} & {{*sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_a_candidate_s_time_begins_when_all_is_imported() -> None:
    program = """
import sys
from nas.estimators import brief_training
known = []
brief_training.perf_counter = lambda: known.append("nas.cost" in sys.modules) or 0.0
assert "nas.cost" not in sys.modules
brief_training.started()
assert known == [True], known
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
