"""The form of a new search: what it says, what it is told, and what the commands beside it say."""

import html
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from services.cli.app import app as cli
from services.controller.app import create_app
from services.controller.shipped_checkpoints import shipped_ids
from services.lifecycle import JobKind
from services.settings import Settings
from services.store import JobRecord, Store

from ..conftest import LOOPBACK
from .conftest import Submit, submitting

SMALL = {
    "name": 'Müller\'s "first" search',
    "search_space.name": "nasbench201",
    "search_space.channels": "4",
    "search_space.cells_per_stage": "1",
    "algorithm.name": "regularized_evolution",
    "algorithm.population_size": "6",
    "algorithm.sample_size": "3",
    "estimator.name": "gtn",
    "estimator.passes": "2",
    "max_candidates": "12",
    "seed": "7",
    "priority": "0",
    "constraints.max_params": "500000",
    "objective": "accuracy",
    "further_objectives": ["params", "accuracy"],
}


CELLS = [
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|none~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
]


@pytest.fixture
def form(checkpoint_id: str) -> dict[str, Any]:
    return {"checkpoint_id": checkpoint_id, **SMALL, "nonce": "once"}


def plan_errors(answer: Any) -> dict[str, str]:
    found = re.search(r'id="plan-errors">(.*?)</script>', answer.text, re.DOTALL)
    assert found, answer.text
    errors: dict[str, str] = json.loads(found.group(1))
    return errors


def command(answer: Any, name: str) -> list[str]:
    found = re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', answer.text, re.DOTALL)
    assert found, answer.text
    # A shell joins continued lines, which shlex does not.
    return shlex.split(html.unescape(found.group(1)).replace("\\\n", ""))


def submitted(store: Store) -> list[JobRecord]:
    return store.list_jobs(JobKind.SEARCH).items


def test_a_form_becomes_the_search_that_it_says(
    submit: Submit, store: Store, form: dict[str, Any], checkpoint_id: str
) -> None:
    answer = submit("/searches/new", form)

    [job] = submitted(store)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/searches/{job.id}")
    assert job.request["checkpoint_id"] == checkpoint_id
    assert job.request["search_space"] == {"name": "nasbench201", "channels": 4, "cells_per_stage": 1}
    assert job.request["algorithm"]["population_size"] == 6
    assert job.request["estimator"]["passes"] == 2
    assert job.request["objectives"] == ["accuracy", "params"]
    assert job.request["constraints"]["max_params"] == 500_000
    assert (job.name, job.progress_total, job.request["seed"]) == (SMALL["name"], 12, 7)


@pytest.mark.parametrize(
    ("changes", "objectives"),
    [
        ({}, ["accuracy", "params"]),
        ({"estimator.readout": "validation_loss"}, ["score", "params"]),
        ({"further_objectives": []}, ["accuracy"]),
    ],
)
def test_further_objectives_come_after_the_estimator_s_own(
    submit: Submit, store: Store, form: dict[str, Any], changes: dict[str, Any], objectives: list[str]
) -> None:
    submit("/searches/new", form | {"objective": "", "further_objectives": ["params"]} | changes)

    assert submitted(store)[0].request["objectives"] == objectives


def test_sent_twice_it_is_submitted_once_and_changed_it_is_another(
    submit: Submit, store: Store, form: dict[str, Any]
) -> None:
    first, again = submit("/searches/new", form), submit("/searches/new", form)
    changed = submit("/searches/new", form | {"seed": "8"})

    assert first.headers["Location"] == again.headers["Location"] != changed.headers["Location"]
    assert len(submitted(store)) == 2


def test_what_is_wrong_is_told_at_its_field_and_nothing_is_submitted(
    submit: Submit, store: Store, form: dict[str, Any]
) -> None:
    wrong = form | {"max_candidates": "many", "constraints.max_params": "0"}

    checked, sent = submit("/searches/new/check", wrong), submit("/searches/new", wrong)

    assert set(plan_errors(checked)) == {"max_candidates", "constraints.max_params"}
    assert "valid integer" in plan_errors(checked)["max_candidates"]
    assert sent.status_code == 422
    assert 'value="many"' in sent.text
    assert 'aria-invalid="true"' in sent.text
    assert submitted(store) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"search_space.channels": "0"}, "search_space.channels"),
        ({"algorithm.name": "guessing"}, "algorithm.name"),
        ({"checkpoint_id": "nosuch"}, "checkpoint_id"),
        ({"algorithm.name": "successive_halving", "estimator.name": "zero_cost"}, "estimator.name"),
        ({"estimator.name": "ensemble", "estimator.members": "[{"}, "estimator.members"),
        ({"estimator.name": "ensemble", "estimator.members": '[{"name": 1}]'}, "estimator.members"),
        ({"search_space.name": "macro", "search_space.description": "{}"}, "search_space.description"),
    ],
)
def test_options_are_checked_by_their_owners(
    submit: Submit, form: dict[str, Any], changes: dict[str, str], field: str
) -> None:
    assert field in plan_errors(submit("/searches/new/check", form | changes))


def test_a_good_form_tells_its_cost_by_what_was_scored_before(
    submit: Submit, http: TestClient, store: Store, form: dict[str, Any], succeed: Callable[..., None]
) -> None:
    assert "cannot be told" in submit("/searches/new/check", form).text
    submit("/searches/new", form)
    [job] = submitted(store)
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=job.id)
    succeed(job.id, 0, seconds=3.0)

    plan = submit("/searches/new/check", form)

    assert plan_errors(plan) == {}
    assert "36.0 s" in plan.text  # 12 candidates of 3 s


def test_gpus_that_a_search_would_leave_idle_are_told(
    submit: Submit, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "scored on CPUs" not in submit("/searches/new/check", form).text
    monkeypatch.setattr("services.controller.cluster.gpus_of_this_machine", lambda: 4)
    assert "The cluster has 4 GPUs" in submit("/searches/new/check", form).text
    asked = form | {"resources.gpus_per_candidate": "0.25"}
    assert "scored on CPUs" not in submit("/searches/new/check", asked).text


def test_a_cluster_that_is_away_keeps_nobody_from_submitting(
    settings: Settings, store: Store, form: dict[str, Any]
) -> None:
    app = create_app(settings.model_copy(update={"ray_jobs_url": "http://127.0.0.1:1"}))
    with TestClient(app, base_url=LOOPBACK) as http:
        submit = submitting(http)

        assert plan_errors(submit("/searches/new/check", form)) == {}
        assert submit("/searches/new", form).status_code == 303

    assert len(submitted(store)) == 1


def test_the_curl_command_sends_the_same_search(
    submit: Submit, http: TestClient, store: Store, form: dict[str, Any]
) -> None:
    arguments = command(submit("/searches/new/check", form), "curl")
    body = json.loads(arguments[arguments.index("-d") + 1])

    submit("/searches/new", form)
    plan = http.post("/v1/searches?validate_only=true", json=body)

    assert arguments[:2] == ["curl", f"{http.base_url}/v1/searches"]
    assert plan.status_code == 200, plan.text
    assert plan.json()["request"] == submitted(store)[0].request


def test_the_command_line_sends_the_same_search(
    submit: Submit, http: TestClient, store: Store, form: dict[str, Any], live_url: str
) -> None:
    arguments = command(submit("/searches/new/check", form), "cli")
    at = arguments.index("--url")
    assert arguments[0] == "gtn-nas"
    assert arguments[at + 1] == str(http.base_url)
    arguments[at + 1] = live_url
    arguments.remove("--follow")

    result = CliRunner().invoke(cli, arguments[1:], catch_exceptions=False)
    submit("/searches/new", form)

    assert result.exit_code == 0, result.output
    by_form, by_command = submitted(store)
    assert by_command.request == by_form.request


def test_given_architectures_are_sent_line_by_line_and_by_both_commands(
    submit: Submit, http: TestClient, store: Store, form: dict[str, Any]
) -> None:
    given = form | {"initial_architectures": "\r\n".join([*CELLS, ""])}
    shown = submit("/searches/new/check", given)
    arguments, body = command(shown, "cli"), command(shown, "curl")
    submit("/searches/new", given)

    [job] = submitted(store)
    assert job.request["initial_architectures"] == CELLS
    assert [arguments[at + 1] for at, each in enumerate(arguments) if each == "--initial"] == CELLS
    assert json.loads(body[body.index("-d") + 1])["initial_architectures"] == CELLS
    assert "2 given architectures" in http.get(f"/searches/{job.id}").text
    again = http.get("/searches/new", params={"from": job.id}).text
    assert html.escape("\n".join(CELLS)) in again
    wrong = submit("/searches/new/check", form | {"initial_architectures": "|none~0|"})
    assert "initial_architectures" in plan_errors(wrong)


def test_a_search_begins_with_the_best_of_another(http: TestClient, store: Store, scored_search: str) -> None:
    page = http.get("/searches/new", params={"best_of": scored_search}).text
    lines = html.unescape(page.partition('name="initial_architectures"')[2].partition("</textarea>")[0])
    best = store.get_candidate(f"{scored_search}-2").encoding
    assert lines.partition(">")[2].splitlines()[0] == best
    assert 'name="search_space.channels" value="4"' in page
    assert http.get("/searches/new", params={"best_of": "nosuch"}).status_code == 404


def test_what_the_command_line_has_no_option_for_is_said(submit: Submit, form: dict[str, Any]) -> None:
    text = submit("/searches/new/check", form | {"latency.repeats": "5"}).text

    assert "has no option for some of this" in text


def test_the_key_is_taken_from_the_environment_never_from_the_page(
    submit: Submit, form: dict[str, Any]
) -> None:
    assert "Authorization" not in submit("/searches/new/check", form).text


def test_another_choice_brings_its_own_options(http: TestClient) -> None:
    options = http.get("/searches/new/options", params={"part": "algorithm", "algorithm.name": "nsga2"}).text

    assert "crossover_probability" in options
    assert "sample_size" not in options
    assert http.get("/searches/new/options", params={"part": "nosuch"}).status_code == 422


def test_a_search_can_be_repeated_with_changes(
    submit: Submit, http: TestClient, store: Store, form: dict[str, Any]
) -> None:
    submit("/searches/new", form)

    page = http.get("/searches/new", params={"from": submitted(store)[0].id}).text

    assert 'name="algorithm.population_size" value="6"' in page
    assert 'value="params" checked' in page
    assert http.get("/searches/new", params={"from": "nosuch"}).status_code == 404


def test_what_came_with_the_package_or_of_one_that_diverged_is_not_the_first_choice(
    http: TestClient, store: Store, checkpoint_id: str
) -> None:
    manifest = store.get_checkpoint(checkpoint_id).manifest
    store.add_checkpoint(min(shipped_ids()), manifest, 1)
    store.add_checkpoint("d" * 64, manifest | {"metrics": {"diverged_at_meta_step": 4.0}}, 1)
    page = http.get("/searches/new").text
    assert f'<option value="{"d" * 64}">' in page
    assert f'<option value="{checkpoint_id}" selected>' in page


def test_without_a_checkpoint_the_page_says_how_to_get_one(http: TestClient) -> None:
    assert "gtn-nas train-gtn" in http.get("/searches/new").text
