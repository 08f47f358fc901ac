"""A whole search whose reward is the score of an estimator that trains nothing."""

from nas import Search, SearchSpec, SerialEngine, validate_spec
from nas.estimators import EstimatorData

from ..record import Record


def test_evolution_climbs_the_score(data: EstimatorData) -> None:
    spec = SearchSpec.model_validate(
        {
            "search_space": {"name": "nasbench201", "channels": 2, "cells_per_stage": 1},
            "algorithm": {"name": "regularized_evolution", "population_size": 5, "sample_size": 3},
            "estimator": {"name": "zero_cost", "readout": "flops", "proxies": []},
            "max_candidates": 25,
        }
    )
    spec = validate_spec(spec)
    assert spec.objectives == ("score",)
    SerialEngine().run(Search(spec, image_shape=(1, 8, 8), num_classes=10), data, record := Record())
    scores = [result.score.score for result in record.results if result.score]
    assert len(scores) == 25
    assert sum(scores[-5:]) > sum(scores[:5])  # larger and larger, for FLOPs are the score
