"""What a search may be asked to do, and how a bad request is told where it is bad."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gtn_core.errors import UnknownNameError
from nas.estimators import ESTIMATORS, estimator_config
from nas.named_config import NamedConfig
from nas.registry import PluginError
from nas.search_spaces import SEARCH_SPACES
from nas.search_spec import Constraints, Resources, SearchSpec, uses_plugins, validate_spec

PLUGIN = Path(__file__).parent / "plugin"


def test_json_in_json_out() -> None:
    body = {
        "search_space": {"name": "nasbench201", "channels": 8, "cells_per_stage": 1},
        "algorithm": {"name": "regularized_evolution", "population_size": 20, "sample_size": 5},
        "estimator": {
            "name": "gtn",
            "readout": "accuracy",
            "initialisations": 1,
            "precision": "float32",
            "channels_last": None,
            "cuda_graphs": False,
            "validation_limit": None,
            "passes": 1,
        },
        "max_candidates": 100,
        "max_seconds": None,
        "max_candidate_seconds": None,
        "initial_architectures": [],
        "objectives": ["accuracy", "params"],
        "constraints": {"max_params": None, "max_flops": 1000, "max_latency_ms": None},
        "resources": {"cpus_per_candidate": 1.0, "gpus_per_candidate": 0.0},
        "latency": {"batch_size": 1, "repeats": 20},
        "max_concurrent": None,
        "seed": 0,
    }
    spec = validate_spec(SearchSpec.model_validate(body))
    assert spec.model_dump(mode="json") == body
    assert spec.search_space.options == {"channels": 8, "cells_per_stage": 1}


@pytest.mark.parametrize(
    ("limits", "excess"),
    [
        ({}, 0.0),
        ({"max_params": 300}, 0.0),
        ({"max_params": 200}, 0.5),
        ({"max_flops": 1000}, 1.0),
        ({"max_params": 200, "max_flops": 1000}, 1.0),
        ({"max_params": 100, "max_flops": 1000}, 2.0),
    ],
)
def test_the_excess_is_the_share_by_which_the_worst_limit_is_passed(
    limits: dict[str, int], excess: float
) -> None:
    assert Constraints.model_validate(limits).excess(params=300, flops=2000) == excess


def test_validation_fills_in_the_options_defaults() -> None:
    spec = validate_spec(SearchSpec(search_space=NamedConfig(name="nasbench201", channels=4)))
    assert spec.search_space.options == {"channels": 4, "cells_per_stage": 5}
    assert spec.algorithm.options == {"population_size": 20, "sample_size": 10}


@pytest.mark.parametrize("name", ["ensemble", "calibrated"])
def test_validation_fills_in_the_options_of_members(name: str) -> None:
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|{}~2|"
    labels = [
        {"architecture": cell.format(each), "accuracy": place}
        for place, each in enumerate(("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"))
    ]
    member = {"name": "gtn", "readouts": ["validation_loss"], "passes": 4}
    estimator = {"name": name, "members": [member], **({"labels": labels} if name == "calibrated" else {})}
    complete = validate_spec(SearchSpec.model_validate({"estimator": estimator}))
    assert complete.estimator.options["members"] == [
        {**estimator_config("gtn").model_dump(mode="json"), **member}
    ]
    assert validate_spec(complete) == complete
    (default,) = validate_spec(SearchSpec(estimator=NamedConfig(name="ensemble"))).estimator.options[
        "members"
    ]
    assert estimator_config("zero_cost").model_dump(mode="json").items() <= default.items()


@pytest.mark.parametrize("field", ["search_space", "algorithm", "estimator"])
def test_an_unknown_name_is_refused_with_the_known_ones(field: str) -> None:
    spec = SearchSpec.model_validate({field: {"name": "nonsense"}})
    with pytest.raises(UnknownNameError, match=r"'nonsense'; known: .*(nasbench201|random_search|gtn)"):
        validate_spec(spec)


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("search_space", {"name": "nasbench201", "channels": 0}),
        ("algorithm", {"name": "random_search", "temperature": 1}),
        ("estimator", {"name": "gtn", "validation_limit": "many"}),
    ],
)
def test_a_bad_option_is_located_below_its_field(field: str, option: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        validate_spec(SearchSpec.model_validate({field: option}))
    (error,) = refusal.value.errors()
    assert error["loc"] == (field, list(option)[1])
    assert error["input"] == list(option.values())[1]


@pytest.mark.parametrize(
    "bad",
    [
        {"max_candidates": 0},
        {"max_seconds": -1},
        {"objectives": []},
        {"objectives": ["accuracy", "accuracy"]},
        {"objectives": ["beauty"]},
        {"constraints": {"max_params": 0}},
        {"max_concurrent": 0},
        {"seed": -1},
        {"candidates": 3},
    ],
)
def test_bad_values_and_unknown_fields_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchSpec.model_validate(bad)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ({"name": "ensemble", "members": [{"name": "gtn"}]}, False),
        ({"name": "ensemble", "members": [{"name": "ensemble", "members": [{"name": "gtn"}]}]}, False),
        ({"name": "ensemble", "members": [{"name": "ensemble", "members": [{"name": "scripted"}]}]}, True),
    ],
)
def test_a_plugin_is_found_among_the_members_of_members(estimator: dict[str, Any], expected: bool) -> None:
    assert uses_plugins(SearchSpec.model_validate({"estimator": estimator})) is expected


def test_given_architectures_are_of_the_space_and_within_the_budget() -> None:
    good = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    spec = SearchSpec.model_validate({"initial_architectures": [good, good]})
    assert validate_spec(spec).initial_architectures == (good, good)
    bad = spec.model_copy(update={"initial_architectures": (good, "|none~0|")})
    with pytest.raises(ValidationError) as refusal:
        validate_spec(bad)
    (error,) = refusal.value.errors()
    assert error["loc"] == ("initial_architectures", "1")
    assert error["input"] == "|none~0|"
    with pytest.raises(ValidationError, match="are 2 and max_candidates is 1; leave some out"):
        SearchSpec.model_validate({"initial_architectures": [good, "another"], "max_candidates": 1})
    assert SearchSpec.model_validate({"initial_architectures": [good, good], "max_candidates": 1})


def test_a_candidate_must_occupy_something() -> None:
    with pytest.raises(ValidationError, match="share of a CPU or a GPU"):
        Resources(cpus_per_candidate=0)


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        ({"gpus_per_candidate": 1.5}, "give 1, 2, or at most 1"),
        ({"cpus_per_candidate": 1e-5}, "cpus_per_candidate is 1e-05; the least share is 0.0001"),
    ],
)
def test_a_share_that_the_cluster_cannot_give_is_refused(resources: dict[str, float], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Resources.model_validate(resources)


def test_parts_of_cores_and_several_gpus_can_be_given() -> None:
    shares = Resources(cpus_per_candidate=1.5, gpus_per_candidate=1 / 3)
    assert (shares.cpus_per_candidate, shares.gpus_per_candidate) == (1.5, 1 / 3)
    assert Resources(gpus_per_candidate=2).gpus_per_candidate == 2


@pytest.mark.parametrize(
    ("given", "place", "told"),
    [
        (
            {"estimator": {"name": "zero_cost", "network": {"chanels": 32}}},
            "estimator.network.chanels",
            "did",
        ),
        (
            {
                "search_space": {"name": "resnet_macro"},
                "estimator": {"name": "zero_cost", "network": {"channels": 32}},
            },
            "estimator.network.channels",
            "cannot be changed",
        ),
        (
            {"estimator": {"name": "ensemble", "members": [{"name": "zero_cost", "network": {"a": 1}}]}},
            "estimator.members.0.network.a",
            "known: channels",
        ),
        (
            {
                "estimator": {
                    "name": "calibrated",
                    "labels": [{"architecture": str(number), "accuracy": number} for number in range(5)],
                }
            },
            "estimator.labels.0.architecture",
            "'0'",
        ),
        (
            {"search_space": {"name": "resnet_macro", "channels": 512, "stages": 6}},
            "search_space",
            "channels 512 and stages 6",
        ),
    ],
)
def test_what_could_only_fail_is_refused_where_it_stands(
    given: dict[str, Any], place: str, told: str
) -> None:
    with pytest.raises(ValidationError, match=told) as refused:
        validate_spec(SearchSpec.model_validate(given))
    assert [".".join(map(str, each["loc"])) for each in refused.value.errors()] == [place]


def test_a_search_that_leaves_its_objectives_out_follows_the_readout() -> None:
    def objectives(**given: Any) -> tuple[str, ...]:
        return validate_spec(SearchSpec.model_validate(given)).objectives

    late = {"name": "gtn", "readout": "sum_training_loss_late"}
    assert objectives() == ("accuracy",)
    assert objectives(estimator=late) == ("score",)
    assert objectives(estimator=late, objectives=["accuracy", "params"]) == ("accuracy", "params")


def test_estimators_of_other_packages_rank_by_their_score_unless_they_say_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    spec = SearchSpec(estimator=NamedConfig(name="scripted"))
    assert validate_spec(spec).objectives == ("score",)
    config = type(estimator_config("scripted"))
    monkeypatch.setattr(config, "ranked_by", "accuracy")
    assert validate_spec(spec).objectives == ("accuracy",)
    monkeypatch.setattr(config, "ranked_by", "beauty")
    with pytest.raises(PluginError, match="'scripted' is ranked_by 'beauty'; known: score, accuracy"):
        validate_spec(spec)


def test_an_estimator_whose_options_cannot_be_asked_is_told_what_they_have_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setattr(ESTIMATORS.get("scripted"), "Config", type("Options", (BaseModel,), {}))
    expected = r"'scripted' .* expected a subclass of nas\.estimators\.base\.EstimatorConfig"
    with pytest.raises(PluginError, match=expected):
        validate_spec(SearchSpec(estimator=NamedConfig(name="scripted")))


def test_a_space_that_fails_at_reading_is_named_as_the_culprit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    letters = NamedConfig(name="letters")
    with pytest.raises(ValidationError, match="'xy' is no word of 2 letters"):
        validate_spec(SearchSpec(search_space=letters, initial_architectures=("xy",)))

    def parse(_self: object, encoding: str) -> None:
        raise ImportError(f"cannot import name {encoding!r}")

    monkeypatch.setattr(SEARCH_SPACES.get("letters"), "parse", parse)
    with pytest.raises(PluginError, match="'letters' cannot read 'ab': its `parse` raised ImportError"):
        validate_spec(SearchSpec(search_space=letters, initial_architectures=("ab",)))


def test_a_space_whose_options_are_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    spec, letters = SearchSpec(search_space=NamedConfig(name="letters")), SEARCH_SPACES.get("letters")
    monkeypatch.setattr(letters, "domains", {"width": [4, 8]})
    with pytest.raises(
        PluginError, match=r"'letters': its choice 'width' has the options \(4, 8\); expected"
    ):
        validate_spec(spec)
    monkeypatch.setattr(letters, "domains", property(lambda _space: 1 / 0))
    with pytest.raises(PluginError, match="'letters': its `domains` raised ZeroDivisionError"):
        validate_spec(spec)


def test_stopping_early_needs_an_estimator_with_more_than_one_depth() -> None:
    halving = NamedConfig(name="successive_halving")
    assert validate_spec(SearchSpec(algorithm=halving)).algorithm.options["reduction_factor"] == 3
    with pytest.raises(ValidationError, match="zero_cost has only one depth; choose one of: gtn") as refused:
        validate_spec(SearchSpec(algorithm=halving, estimator=NamedConfig(name="zero_cost")))
    assert refused.value.errors()[0]["loc"] == ("estimator", "name")


@pytest.mark.parametrize("readout", ["sum_training_loss", "sum_training_loss_late"])
def test_sums_over_unequal_numbers_of_steps_are_no_readout(readout: str) -> None:
    """The candidates that were stopped first would have the smallest sums."""
    spec = SearchSpec(
        algorithm=NamedConfig(name="successive_halving"), estimator=NamedConfig(name="gtn", readout=readout)
    )
    with pytest.raises(ValidationError, match=f"{readout} is a sum over steps"):
        validate_spec(spec)
    validate_spec(spec.model_copy(update={"algorithm": NamedConfig(name="random_search")}))


@pytest.mark.parametrize("objective", ["accuracy", "loss"])
@pytest.mark.parametrize(
    "estimator",
    [{"name": "zero_cost"}, {"name": "ensemble"}, {"name": "ensemble", "members": [{"name": "zero_cost"}]}],
)
def test_an_untrained_networks_guess_is_no_objective(objective: str, estimator: dict[str, Any]) -> None:
    asked = SearchSpec.model_validate({"estimator": estimator, "objectives": ["params", objective]})
    with pytest.raises(
        ValidationError, match=f"so that its {objective} says nothing; choose score"
    ) as caught:
        validate_spec(asked)
    assert caught.value.errors()[0]["loc"] == ("objectives", "1")


def test_the_accuracy_of_a_member_that_trains_is_an_objective() -> None:
    members = [{"name": "zero_cost"}, {"name": "gtn"}]
    spec = validate_spec(
        SearchSpec.model_validate(
            {"estimator": {"name": "ensemble", "members": members}, "objectives": ["accuracy", "params"]}
        )
    )
    assert spec.objectives == ("accuracy", "params")


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "slots"),
    [
        (4, 0, {}, 4),
        (4, 0, {"cpus_per_candidate": 3}, 1),
        (16, 1, {"cpus_per_candidate": 1, "gpus_per_candidate": 0.1}, 10),
        (2, 1, {"cpus_per_candidate": 1, "gpus_per_candidate": 0.1}, 2),
        (16, 0, {"gpus_per_candidate": 1}, 0),
        (16, 2, {"gpus_per_candidate": 0.6}, 2),
        (16, 5, {"gpus_per_candidate": 2}, 2),
        (0, 2, {"cpus_per_candidate": 0, "gpus_per_candidate": 0.5}, 4),
        (0, 0, {}, 0),
    ],
)
def test_slots_are_what_fits_a_node(
    cpus: float, gpus: float, resources: dict[str, float], slots: int
) -> None:
    assert Resources(**resources).slots(cpus=cpus, gpus=gpus) == slots
