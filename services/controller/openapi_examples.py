"""Answers as the OpenAPI document shows them; tests hold them against the schemas."""

from typing import Any

from services.controller.openapi_analysis_examples import analysis_answers

_JOB = {
    "priority": 0,
    "waiting_for": None,
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": "2026-01-01T12:00:03Z",
    "finished_at": None,
}
_CHECKPOINT_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SEARCH_ID = "da626a68082d8021"
_SEARCH_REQUEST = {
    "name": "first search",
    "checkpoint_id": _CHECKPOINT_ID,
    "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
    "algorithm": {"name": "regularized_evolution", "population_size": 20, "sample_size": 5},
    "estimator": {"name": "gtn"},
    "max_candidates": 100,
    "objectives": ["accuracy"],
    "seed": 0,
}
CANDIDATE: dict[str, Any] = {
    "id": f"{_SEARCH_ID}-9",
    "search_id": _SEARCH_ID,
    "number": 9,
    "rank": 1,
    "state": "succeeded",
    "architecture": {
        "space": "nasbench201",
        "encoding": "|skip_connect~0|+|nor_conv_1x1~0|skip_connect~1|+"
        "|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|",
    },
    "canonical_hash": "5d41402abc4b2a76b9719d911017c592",
    "seed": 1301868182,
    "metrics": {"accuracy": 0.8711, "loss": 0.62, "params": 21506, "flops": 288000, "seconds": 0.26},
    "error": None,
    "final_training": None,
    "parents": [],
    "created_at": "2026-01-01T12:00:10Z",
    "finished_at": "2026-01-01T12:00:11Z",
}
META_TRAINING: dict[str, Any] = {
    "id": "f5cc226d55aa552f",
    "name": "digits, 10 inner steps",
    "state": "running",
    "progress": {"done": 120, "total": 500},
    **_JOB,
    "error": None,
    "request": {"name": "digits, 10 inner steps", "dataset": {"name": "digits"}, "seed": 0},
    "checkpoint_id": None,
    "result": None,
}
SEARCH: dict[str, Any] = {
    "id": _SEARCH_ID,
    "name": "first search",
    "state": "running",
    "progress": {"done": 40, "total": 100},
    **_JOB,
    "error": None,
    "request": _SEARCH_REQUEST,
    "checkpoint_id": _CHECKPOINT_ID,
    "best": CANDIDATE,
    "failures": [],
    "result": None,
}
FINAL_TRAINING: dict[str, Any] = {
    "id": "0a1b2c3d4e5f6071",
    "name": "",
    "state": "succeeded",
    "progress": {"done": 30, "total": 30},
    **_JOB,
    "finished_at": "2026-01-01T12:01:00Z",
    "error": None,
    "request": {"epochs": 30, "seed": 0},
    "candidate_id": CANDIDATE["id"],
    "test_accuracy": 0.9944,
    "validation_accuracy": 0.986,
    "result": None,
}
CHECKPOINT: dict[str, Any] = {
    "id": _CHECKPOINT_ID,
    "name": None,
    "size_bytes": 1_250_000,
    "manifest": {"format_version": 1, "dataset": {"name": "digits"}, "num_classes": 10},
    "created_at": "2026-01-01T11:00:00Z",
}
_NEW = {"state": "queued", "started_at": None}
_NOT_LOOKED_UP = {"best": None, "failures": None}
_CORES = {"total": 16, "busy": 4, "free": 12}
_NO_GPUS = {"total": 0, "busy": 0, "free": 0}
_CATALOGUE = {
    "items": [
        {
            "name": "random_search",
            "description": "Samples architectures independently.",
            "schema": {"type": "object", "properties": {}, "additionalProperties": False},
        }
    ],
    "next_cursor": None,
}


FIDELITY_REPORT: dict[str, Any] = {
    "id": "8c1f0a5be2d39917",
    "name": "",
    "state": "running",
    "progress": {"done": 40, "total": 120},
    **_JOB,
    "error": None,
    "request": {"checkpoint_id": _CHECKPOINT_ID, "estimators": [{"name": "gtn"}], "candidates": 60},
    "checkpoint_id": _CHECKPOINT_ID,
    "report": None,
}


def _page(item: dict[str, Any]) -> dict[str, Any]:
    return {"items": [item], "next_cursor": "q83vZXhhbXBsZQ"}


_EDITED = {"name": "the baseline", "priority": 10}
ANSWERS: dict[tuple[str, str], Any] = {
    **analysis_answers(CANDIDATE),
    ("create_meta_training", "201"): META_TRAINING | _NEW | {"progress": {"done": 0, "total": 500}},
    ("list_meta_trainings", "200"): _page(META_TRAINING),
    ("get_meta_training", "200"): META_TRAINING,
    ("edit_meta_training", "200"): META_TRAINING | _EDITED,
    ("cancel_meta_training", "200"): META_TRAINING | {"state": "cancelled"},
    ("resume_meta_training", "200"): META_TRAINING | {"state": "queued"},
    ("create_checkpoint", "201"): CHECKPOINT,
    ("create_checkpoint", "200"): CHECKPOINT,
    ("list_checkpoints", "200"): _page(CHECKPOINT),
    ("get_checkpoint", "200"): CHECKPOINT,
    ("create_search", "201"): SEARCH | _NEW | {"progress": {"done": 0, "total": 100}} | _NOT_LOOKED_UP,
    ("create_search", "200"): {
        "request": _SEARCH_REQUEST,
        "estimate": {
            "candidates": 100,
            "seconds_per_candidate": 0.26,
            "evaluation_seconds": 26.0,
            "based_on": 40,
        },
    },
    ("list_searches", "200"): _page(SEARCH | _NOT_LOOKED_UP),
    ("get_search", "200"): SEARCH,
    ("edit_search", "200"): SEARCH | _EDITED,
    ("pause_search", "200"): SEARCH | {"state": "paused"},
    ("resume_search", "200"): SEARCH | {"state": "queued"},
    ("cancel_search", "200"): SEARCH | {"state": "cancelled"},
    ("clone_search", "201"): SEARCH | _NEW | {"progress": {"done": 0, "total": 100}} | _NOT_LOOKED_UP,
    ("extend_search", "200"): SEARCH | {"state": "queued", "progress": {"done": 100, "total": 150}},
    ("list_search_candidates", "200"): _page(CANDIDATE),
    ("download_candidates", "200"): [CANDIDATE],
    ("get_pareto_front", "200"): {"items": [CANDIDATE], "next_cursor": None},
    ("list_candidates", "200"): _page(CANDIDATE),
    ("get_candidate", "200"): CANDIDATE | {"loss_curve": [2.35, 1.72, 1.21, 0.98]},
    ("retrain_candidate", "202"): FINAL_TRAINING
    | _NEW
    | {"test_accuracy": None, "validation_accuracy": None, "finished_at": None},
    ("list_final_trainings", "200"): _page(FINAL_TRAINING),
    ("get_final_training", "200"): FINAL_TRAINING,
    ("edit_final_training", "200"): FINAL_TRAINING | _EDITED,
    ("cancel_final_training", "200"): FINAL_TRAINING | {"state": "cancelled", "test_accuracy": None},
    ("resume_final_training", "200"): FINAL_TRAINING | {"state": "queued", "test_accuracy": None},
    ("create_fidelity_report", "201"): FIDELITY_REPORT | _NEW | {"progress": {"done": 0, "total": 120}},
    ("list_fidelity_reports", "200"): _page(FIDELITY_REPORT),
    ("get_fidelity_report", "200"): FIDELITY_REPORT,
    ("edit_fidelity_report", "200"): FIDELITY_REPORT | _EDITED,
    ("cancel_fidelity_report", "200"): FIDELITY_REPORT | {"state": "cancelled"},
    ("resume_fidelity_report", "200"): FIDELITY_REPORT | {"state": "queued"},
    ("list_search_spaces", "200"): _CATALOGUE,
    ("list_algorithms", "200"): _CATALOGUE,
    ("list_estimators", "200"): _CATALOGUE,
    ("list_datasets", "200"): _CATALOGUE,
    ("get_cluster", "200"): {
        "source": "this machine",
        "nodes": [
            {
                "id": "worker-1",
                "address": "127.0.0.1",
                "alive": True,
                "head": True,
                "cpus": _CORES,
                "gpus": _NO_GPUS,
            }
        ],
        "cpus": _CORES,
        "gpus": _NO_GPUS,
        "running_searches": [{"id": _SEARCH_ID, "name": "first search", "done": 40, "total": 100}],
    },
    ("get_health", "200"): {"status": "ok", "version": "0.1.0"},
    ("get_readiness", "200"): {
        "ready": True,
        "checks": [{"name": "database", "ready": True, "detail": "answers, and its schema is current"}],
    },
    ("get_readiness", "503"): {
        "ready": False,
        "checks": [{"name": "dispatcher", "ready": False, "detail": "has stopped; restart the controller"}],
    },
}
"""By operation id and status."""
