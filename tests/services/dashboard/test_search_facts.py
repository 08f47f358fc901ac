"""A search's request in few words."""

from typing import Any

from services.dashboard.search_facts import search_facts

REQUEST: dict[str, Any] = {
    "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
    "algorithm": {"name": "random_search"},
    "estimator": {"name": "gtn", "validation_limit": None},
    "objectives": ["accuracy", "params"],
    "constraints": {"max_params": 50_000, "max_flops": None},
    "max_seconds": 60.0,
    "max_candidate_seconds": 5.5,
    "resources": {"cpus_per_candidate": 1.0, "gpus_per_candidate": 0.25},
    "seed": 3,
}


def test_every_part_is_named_and_what_was_left_open_is_left_out() -> None:
    assert {fact.label: fact.text for fact in search_facts(REQUEST)} == {
        "search space": "nasbench201 (channels 8, cells per stage 1)",
        "algorithm": "random_search",
        "estimator": "gtn",
        "objectives": "accuracy, params",
        "limits": "at most 50,000 parameters, at most 60 s, at most 5.5 s a candidate",
        "per candidate": "1 CPU, 0.25 GPU",
        "seed": "3",
    }


def test_long_options_are_shortened() -> None:
    space = {"name": "macro", "description": "x" * 500}
    request = REQUEST | {"search_space": space}
    assert len(search_facts(request)[0].text) < 100
    assert "x" * 500 in search_facts(request, whole=True)[0].text


def test_what_is_given_beside_the_defaults_is_told() -> None:
    request = REQUEST | {"initial_architectures": ["one"], "max_concurrent": 2}
    facts = {fact.label: fact.text for fact in search_facts(request)}
    assert (facts["first"], facts["at a time"]) == ("1 given architecture", "at most 2")
