"""An installed distribution with an estimator that sleeps where another would train.

Benchmarks put this folder on the import path, of Ray's workers too, and reach it by name as any plugin.
"""

import threading
import time
import zlib
from typing import Any, ClassVar

from pydantic import Field

from nas.architecture import Architecture
from nas.estimators.base import CandidateScore, EstimatorConfig, EstimatorData
from nas.search_spaces.base import SearchSpace


class SimulatedConfig(EstimatorConfig):
    needs_train_data: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = False

    sleep_seconds: float = Field(1.0, ge=0, description="Mean time of a candidate.")
    spread: float = Field(0.0, ge=0, lt=1, description="Candidates take up to this share more or less.")


class Simulated:
    """Occupies a slot for a time that the architecture decides, and no core.

    `seconds` of a score is the time that was asked for: sleeping longer is an overhead, as anything else.
    """

    name: ClassVar[str] = "simulated"
    description: ClassVar[str] = "Sleeps, then scores by a hash."
    Config: ClassVar[type[SimulatedConfig]] = SimulatedConfig

    def __init__(self, data: EstimatorData, config: SimulatedConfig, device: Any) -> None:  # noqa: ARG002
        self.config = config

    def estimate(self, space: SearchSpace, architecture: Architecture, *, seed: int) -> CandidateScore:
        share = zlib.crc32(f"{seed} {space.canonical_hash(architecture)}".encode()) / 2**32  # in [0, 1)
        seconds = self.config.sleep_seconds * (1 + self.config.spread * (2 * share - 1))
        time.sleep(seconds)
        return CandidateScore(
            share, 1 - share, (1.0, 0.5), 10, 20, seconds, {"slot": float(threading.get_native_id())}
        )
