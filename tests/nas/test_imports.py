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
import numpy as np
from nas import get_search_space
from nas.estimators import brief_training

known = []
brief_training.perf_counter = lambda: known.append({*sys.modules}) or 0.0
brief_training.started()
space = get_search_space("nasbench201", channels=2, cells_per_stage=1)
architecture = space.sample(np.random.default_rng(0))
build = lambda seed: space.build(architecture, image_shape=(1, 8, 8), num_classes=10, seed=seed)
brief_training.candidate_cost(build, (1, 8, 8))
late = {name for name in {*sys.modules} - known[0] if not name.startswith("nas.")}
assert not late, late
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pictures_can_be_imported_before_the_spaces_that_draw_with_them() -> None:
    done = subprocess.run([sys.executable, "-c", "import nas.drawing"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
