"""Answers of the endpoints behind plots and statistics, as the OpenAPI document shows them."""

from typing import Any

_SEARCH_ID = "da626a68082d8021"


def analysis_answers(candidate: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """By operation id and status; `candidate` is the example of a candidate."""
    change = {"choice": "0→1", "before": "none", "after": "skip_connect"}
    return {
        ("get_trajectory", "200"): {
            "objective": "accuracy",
            "direction": "max",
            "done": 40,
            "elapsed": 61.5,
            "completion": [1, 9],
            "seconds": [12.4, 15.1],
            "number": [0, 9],
            "value": [0.8362, 0.8711],
        },
        ("get_points", "200"): {
            "total": 40,
            "x": "params",
            "y": "accuracy",
            "number": [0, 9],
            "columns": {"params": [18594, 21506], "accuracy": [0.8362, 0.8711]},
            "pareto": [0, 9],
            "best": 9,
        },
        ("get_importance", "200"): {
            "metric": "accuracy",
            "direction": "max",
            "candidates": 40,
            "total": 40,
            "choices": [
                {
                    "choice": "0→1",
                    "n": 40,
                    "explained": 0.12,
                    "options": [
                        {
                            "option": "skip_connect",
                            "n_with": 11,
                            "n_without": 29,
                            "mean_with": 0.81,
                            "mean_without": 0.74,
                            "difference": 0.07,
                            "low": 0.01,
                            "high": 0.13,
                            "effect_size": 0.82,
                        }
                    ],
                }
            ],
        },
        ("get_choices", "200"): {
            "metric": "accuracy",
            "total": 40,
            "choices": {"0→1": ["none", "skip_connect"]},
            "number": [9],
            "value": [0.8711],
            "codes": [[1]],
        },
        ("get_candidate_cost", "200"): {
            "params": 160,
            "flops": 9536,
            "parts": [
                {
                    "name": "stem",
                    "kind": "stem",
                    "params": 88,
                    "flops": 9216,
                    "input_shape": [1, 8, 8],
                    "output_shape": [8, 8, 8],
                },
                {
                    "name": "head",
                    "kind": "head",
                    "params": 72,
                    "flops": 320,
                    "input_shape": [8, 8, 8],
                    "output_shape": [10],
                },
            ],
        },
        ("get_lineage", "200"): {
            "recorded": True,
            "line": [
                {
                    "candidate": candidate | {"parents": [f"{_SEARCH_ID}-3"]},
                    "parents": [f"{_SEARCH_ID}-3"],
                    "changes": [change],
                },
                {
                    "candidate": candidate | {"id": f"{_SEARCH_ID}-3", "number": 3},
                    "parents": [],
                    "changes": [],
                },
            ],
            "truncated": False,
            "children": [],
        },
        ("get_similar", "200"): {
            "compared": 39,
            "total": 39,
            "similar": [{"candidate": candidate, "changes": [change]}],
        },
        ("get_curriculum", "200"): {
            "inner_steps": 2,
            "batch_size": 32,
            "inner_optimizer": "sgd",
            "learning_rates": [0.05, 0.03],
            "momenta": [0.6, 0.8],
            "frames": {"steps": [1, 2], "classes": ["0", "1"], "per_class": 3, "tile": [8, 8]},
        },
    }
