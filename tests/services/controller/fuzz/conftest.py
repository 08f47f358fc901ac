"""Random requests and files against a real controller; GTN_NAS_FUZZ_EXAMPLES=1000 looks for longer."""

import os

import hypothesis
import pytest
from hypothesis import HealthCheck

EXAMPLES = int(os.environ.get("GTN_NAS_FUZZ_EXAMPLES", "25"))

# Fixed seeds; and the fixtures are read, or only added to, so that examples may share them.
hypothesis.settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis.settings.load_profile("fuzz")


@pytest.fixture
def examples() -> int:
    """Random examples per property."""
    return EXAMPLES
