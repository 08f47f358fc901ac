"""The commands against a controller that really listens; what runners would do is written into its store."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gtn_core import FrozenCheckpoint
from gtn_core.errors import GtnNasError
from services.cli.app import app
from services.cli.progress import News, _PlainLines
from services.client import Client
from services.controller.shipped_checkpoints import register_shipped_checkpoints
from services.errors import ClusterUnavailableError
from services.lifecycle import Action, JobKind, JobState
from services.settings import Settings
from services.store import Scope, Store, open_store, utc_now
from services.wiring import make_artifacts

Run = Callable[..., Result]


def test_a_checkpoint_goes_in_and_comes_out_unchanged_with_its_picture(
    run: Run, checkpoint: FrozenCheckpoint, checkpoint_file: Path, tmp_path: Path
) -> None:
    assert run("checkpoint", "import", checkpoint_file).stdout == f"{checkpoint.id}\n"
    assert [entry["id"] for entry in json.loads(run("checkpoint", "list", "--json").stdout)] == [
        checkpoint.id
    ]
    assert checkpoint.id[:16] in run("checkpoint", "list").stdout
    manifest = json.loads(run("checkpoint", "show", checkpoint.id[:8]).stdout)["manifest"]
    assert manifest["config"]["inner_steps"] == 2
    run("checkpoint", "export", "latest", "-o", tmp_path / "again.gtn")
    assert (tmp_path / "again.gtn").read_bytes() == checkpoint_file.read_bytes()
    for command in ("samples", "curves"):
        run("checkpoint", command, "latest", "-o", tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as picture:
            assert picture.format == "PNG"


def test_a_checkpoint_of_the_package_is_known_by_name_and_is_not_the_latest(
    run: Run, settings: Settings, store: Store, checkpoint: FrozenCheckpoint, checkpoint_file: Path
) -> None:
    run("checkpoint", "import", checkpoint_file)
    register_shipped_checkpoints(store, make_artifacts(settings))
    names = {entry["id"]: entry["name"] for entry in json.loads(run("checkpoint", "list", "--json").stdout)}
    digits = next(id_ for id_, name in names.items() if name == "digits")
    assert names[checkpoint.id] is None
    assert "digits" in run("checkpoint", "list").stdout

    # What a meta-training that diverged left is newer still.
    manifest = checkpoint.manifest.model_dump(mode="json")
    store.add_checkpoint("d" * 64, manifest | {"metrics": {"diverged_at_meta_step": 4.0}}, 1)
    for given, expected in (("digits", digits), ("latest", checkpoint.id)):
        search = run("search", "--checkpoint", given, "--space", "nasbench201", "-n", 3).stdout.strip()
        assert store.get_job(search, JobKind.SEARCH).subject_id == expected


def test_a_name_means_the_newest_checkpoint_that_has_it(
    run: Run, store: Store, checkpoint: FrozenCheckpoint, checkpoint_file: Path
) -> None:
    store.add_checkpoint("f" * 64, checkpoint.manifest.model_dump(mode="json"), 1, name="mine")
    imported = json.loads(run("checkpoint", "import", checkpoint_file, "--name", "mine", "--json").stdout)
    assert (imported["id"], imported["name"]) == (checkpoint.id, "mine")
    assert json.loads(run("checkpoint", "show", "mine").stdout)["id"] == checkpoint.id
    assert json.loads(run("checkpoint", "show", "ffff").stdout)["id"] == "f" * 64


def test_train_gtn_submits_file_and_set_options_with_the_latter_winning(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('inner_steps = 4\nmeta_steps = 7\nlearner_channels = [8, 8]\nlearner = "strided"\n')
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "set.npz").touch()
    arguments = ("--config", config, "--set", "meta_steps=9", "--set", "inner_optimizer=adam")
    job_id = run("train-gtn", "--dataset", "npz:some/set.npz", *arguments, "--seed", 5).stdout.strip()
    job = store.get_job(job_id, JobKind.META_TRAINING)
    assert job.progress_total == 9
    assert job.request["config"]["inner_steps"] == 4
    assert job.request["config"]["learner_channels"] == [8, 8]
    assert job.request["config"]["inner_optimizer"] == "adam"
    assert job.request["seed"] == 5
    assert job.request["dataset"]["path"] == str(tmp_path / "some" / "set.npz")


@pytest.mark.parametrize(
    "options", [("digits@4",), ("digits", "--image-size", "4"), ("digits@4", "--image-size", "4")]
)
def test_a_data_set_is_asked_for_at_a_size(run: Run, store: Store, options: tuple[str, ...]) -> None:
    job = store.get_job(run("train-gtn", "--dataset", *options).stdout.strip())
    assert job.request["dataset"] == {"name": "digits", "path": None, "image_size": 4}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("digits@4", "--image-size", "5"), "'digits@4' has another size than --image-size 5"),
        (("digits@x",), "cannot read data set 'digits@x'; write NAME, NAME:PATH or NAME@SIZE:PATH"),
    ],
)
def test_a_data_set_that_cannot_be_meant(url: str, options: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(
        app, ["train-gtn", "--dataset", *options, "--url", url], env={"COLUMNS": "200"}
    )
    assert result.exit_code != 0
    assert complaint in f"{result.output}{result.exception}"


def test_train_gtn_submits_the_order_to_teach_and_the_ranks(run: Run, store: Store, tmp_path: Path) -> None:
    cells = [
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    ]
    table = tmp_path / "accuracies.csv"
    table.write_text("architecture,accuracy\n" + "".join(f"{cell},{n}\n" for n, cell in enumerate(cells)))
    options = [
        "--set",
        "ranking_weight=1",
        "--set",
        "learners_per_meta_step=2",
        "--learner-space",
        "nasbench201",
        "--no-learning-curves",
    ]
    calibration = ["--calibration-table", table, "--calibration-architectures", 2]
    job_id = run(
        "train-gtn", "--dataset", "digits", *options, *calibration, "--ranks", 2, "--cpus-per-rank", 0.5
    ).stdout.strip()
    request = store.get_job(job_id).request
    assert request["config"]["ranking_weight"] == 1
    assert request["calibration_set"]["table"]["csv"] == table.read_text()
    assert request["calibration_set"]["architectures"] == 2
    assert request["learning_curves"] is False
    assert request["resources"] == {"ranks": 2, "cpus_per_rank": 0.5, "gpus_per_rank": 0.0}


def test_search_leaves_to_the_controller_what_is_not_given(
    run: Run, store: Store, checkpoint: FrozenCheckpoint, checkpoint_file: Path
) -> None:
    run("checkpoint", "import", checkpoint_file)
    options = ("--space", "nasbench201", "--space-option", "channels=4", "--max-params", 9000)
    result = run("search", "--checkpoint", "latest", *options, "-n", 7, "--objective", "loss", "--json")
    search = json.loads(result.stdout)
    request = store.get_job(search["id"], JobKind.SEARCH).request
    assert search["checkpoint_id"] == request["checkpoint_id"] == checkpoint.id
    assert request["search_space"]["channels"] == 4
    assert request["constraints"]["max_params"] == 9000
    assert (request["max_candidates"], request["objectives"]) == (7, ["loss"])
    assert request["algorithm"]["name"] == "regularized_evolution"


def test_gpus_that_a_search_would_leave_idle_are_told(
    run: Run, checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("checkpoint", "import", checkpoint_file)
    told = "scored on CPUs"
    assert told not in run("search", "-n", 1).stderr
    monkeypatch.setattr("services.controller.cluster.gpus_of_this_machine", lambda: 2)
    assert "the cluster has 2 GPUs" in " ".join(run("search", "-n", 1).stderr.split())
    assert told not in run("search", "-n", 1, "--gpus-per-candidate", 0.5).stderr
    assert told not in run("search", "-n", 1, "--json").stderr
    monkeypatch.setattr("services.controller.routes.system.cluster_view", _away)
    assert told not in run("search", "-n", 1).stderr


def _away(*_: object) -> NoReturn:
    raise ClusterUnavailableError("the Ray dashboard does not answer")


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_a_search_is_described_by_a_file_and_options_win_over_it(
    run: Run, store: Store, checkpoint: FrozenCheckpoint, checkpoint_file: Path, tmp_path: Path, kind: str
) -> None:
    run("checkpoint", "import", checkpoint_file, "--name", "mine")
    asked = {
        "name": "from a file",
        "checkpoint_id": "mine",
        "max_candidates": 9,
        "algorithm": {"name": "random_search"},
        "search_space": {"name": "nasbench201", "channels": 4},
        "constraints": {"max_params": 9000, "max_flops": 1_000_000},
    }
    path = tmp_path / f"search.{kind}"
    toml = """
        name = "from a file"
        checkpoint_id = "mine"
        max_candidates = 9
        algorithm = {name = "random_search"}
        search_space = {name = "nasbench201", channels = 4}
        constraints = {max_params = 9000, max_flops = 1000000}
    """
    path.write_text(json.dumps(asked) if kind == "json" else toml)
    request = store.get_job(run("search", "--config", path).stdout.strip()).request
    assert request["search_space"]["channels"] == 4
    assert {key: request[key] for key in ("name", "max_candidates", "algorithm")} == {
        key: asked[key] for key in ("name", "max_candidates", "algorithm")
    }
    assert request["checkpoint_id"] == checkpoint.id
    options = ("-n", 3, "--max-params", 500, "--algorithm", "tpe", "--checkpoint", "latest")
    request = store.get_job(run("search", "--config", path, *options).stdout.strip()).request
    assert (request["max_candidates"], request["algorithm"]["name"]) == (3, "tpe")
    assert request["constraints"] == {"max_params": 500, "max_flops": 1_000_000, "max_latency_ms": None}


def test_what_a_search_was_asked_can_be_asked_again_from_its_record(
    run: Run, store: Store, search_id: str, tmp_path: Path
) -> None:
    record = json.loads(run("status", search_id, "--json").stdout)["request"]
    (tmp_path / "again.json").write_text(json.dumps(record))
    again = run("search", "--config", tmp_path / "again.json").stdout.strip()
    assert store.get_job(again).request == store.get_job(search_id).request


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("s.toml", "max_candidates", "is not TOML"),
        ("s.json", "{", "is not JSON"),
        ("s.json", "[1]", "is no JSON object, but list"),
        ("s.json", "\xff", "is not JSON"),
        ("s.json", "[" * 20_000, "is not JSON"),
        ("s.toml", "name = 2024-01-01", "holds what cannot be sent"),
        ("s.toml", "max_seconds = inf", "holds what cannot be sent"),
        ("s.json", '{"max_seconds": NaN}', "holds what cannot be sent"),
    ],
)
def test_a_file_that_describes_no_search_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(text.encode("latin-1"))
    refused = CliRunner().invoke(app, ["search", "--config", name, "--url", url])
    assert refused.exit_code == 2
    assert f"{name} {told}" in refused.stderr


def test_a_search_begins_with_given_architectures_and_the_best_of_another(
    url: str, run: Run, store: Store, search_id: str, tmp_path: Path
) -> None:
    first, second = (
        f"|none~0|+|none~0|none~1|+|{operation}~0|none~1|none~2|" for operation in ("nor_conv_3x3", "none")
    )
    (tmp_path / "cells.txt").write_text(f"{second}\n\n")
    given = ("--initial", first, "--initial", f"@{tmp_path / 'cells.txt'}")
    made = run("search", *given, "--best-of", search_id, "--top", 2).stdout.strip()
    request = store.get_job(made).request
    best = [store.get_candidate(f"{search_id}-{number}").encoding for number in (2, 0)]
    assert request["initial_architectures"] == [first, second, *best]
    assert request["search_space"] == store.get_job(search_id).request["search_space"]
    missing = CliRunner().invoke(app, ["search", "--initial", "@none.txt", "--url", url])
    assert missing.exit_code == 2
    assert "--initial @none.txt: No such file or directory" in missing.stderr
    elsewhere = CliRunner().invoke(
        app,
        ["search", "--best-of", search_id, "--space", "resnet_macro", "--url", url],
        env={"COLUMNS": "300"},
    )
    assert (
        f"--best-of {search_id} is a search in nasbench201, whose architectures are none of resnet_macro"
        in (elsewhere.stderr)
    )
    unscored = CliRunner().invoke(app, ["search", "--best-of", made, "--url", url])
    assert f"search {made} has no candidate with a score yet" in str(unscored.exception)


def test_the_best_of_another_search_bring_its_checkpoint_and_fit_the_budget(
    run: Run, store: Store, search_id: str, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text(
        '{"initial_architectures": null, "search_space": null, "checkpoint_id": null, "max_candidates": 2}'
    )
    made = run("search", "--config", tmp_path / "s.json", "--best-of", search_id).stdout.strip()
    request, earlier = store.get_job(made).request, store.get_job(search_id).request
    assert request["initial_architectures"] == [
        store.get_candidate(f"{search_id}-{number}").encoding for number in (2, 0)
    ]
    assert request["search_space"] == earlier["search_space"]
    assert request["checkpoint_id"] == earlier["checkpoint_id"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--top", "3"], "--top is given without --best-of"),
        (["--initial", ""], "--initial '' is empty"),
        (["--initial", "@empty.txt"], "--initial @empty.txt is empty"),
        (["--estimator", "gtn", "--estimator-option", "passes=NaN"], "NaN is no number"),
    ],
)
def test_options_of_a_search_that_say_nothing_are_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n\n")
    refused = CliRunner().invoke(app, ["search", *arguments, "--url", url])
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_rank_shows_the_best_first_and_json_is_alone_on_stdout(run: Run, search_id: str) -> None:
    ranked = json.loads(run("rank", search_id, "--json").stdout)
    assert [(entry["rank"], entry["number"]) for entry in ranked] == [(1, 2), (2, 0), (3, 1)]
    assert [
        entry["number"] for entry in json.loads(run("rank", search_id, "--limit", 1, "--json").stdout)
    ] == [2]
    table = run("rank", search_id).stdout
    assert table.index(f"{search_id}-2") < table.index(f"{search_id}-0") < table.index(f"{search_id}-1")
    assert "90.00%" in table


def test_lists_are_tables_within_80_characters(
    run: Run, store: Store, search_id: str, checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = (
        "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    store.add_candidate(
        "runner", search_id, 123, space="nasbench201", encoding=encoding, canonical_hash="h", seed=0
    )
    metrics = {
        "accuracy": 0.7,
        "loss": 1.0,
        "params": 123456,
        "flops": 5678901,
        "seconds": 0.5,
        "score": -0.81234,
    }
    store.finish_candidate("runner", search_id, 123, metrics=metrics, loss_curve=[2.25] * 40)
    run("checkpoint", "import", checkpoint_file, "--name", "digits, for the second time")
    run("train-gtn", "--dataset", "digits", "--name", "a longer name than most", "--set", "meta_steps=500")
    monkeypatch.setenv("COLUMNS", "80")
    for command in (["jobs"], ["checkpoint", "list"], ["rank", search_id]):
        printed = run(*command).stdout
        assert "───" in printed
        assert max(map(len, printed.splitlines())) <= 80
    shown = run("show", f"{search_id}-123").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert encoding in "".join(shown.split())


def test_rank_shows_the_score_that_it_goes_by(run: Run, store: Store, search_id: str) -> None:
    assert "score" not in run("rank", search_id).stdout
    store.add_candidate("runner", search_id, 9, space="nasbench201", encoding="e", canonical_hash="h", seed=0)
    metrics = {"accuracy": 0.1, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.5, "score": -1.25}
    store.finish_candidate("runner", search_id, 9, metrics=metrics, reward=5.0)
    table = run("rank", search_id).stdout
    assert "score" in table
    assert table.index(f"{search_id}-9") < table.index("-1.25") < table.index(f"{search_id}-2")


def test_rank_shows_latencies_where_they_were_measured(run: Run, store: Store, search_id: str) -> None:
    assert "latency" not in run("rank", search_id).stdout
    store.add_candidate("runner", search_id, 9, space="nasbench201", encoding="e", canonical_hash="h", seed=0)
    metrics = {"accuracy": 0.1, "loss": 1.0, "params": 1, "flops": 1, "seconds": 0.5, "latency_ms": 1.25}
    store.finish_candidate("runner", search_id, 9, metrics=metrics)
    table = run("rank", search_id).stdout
    assert "latency ms" in table
    assert "1.25" in table
    quick = json.loads(run("rank", search_id, "--max-latency-ms", 2, "--json").stdout)
    assert [entry["number"] for entry in quick] == [9]
    assert run("rank", search_id, "--max-latency-ms", 1).stdout == ""


def test_rank_tells_why_no_candidate_has_a_score(run: Run, store: Store, checkpoint_file: Path) -> None:
    run("checkpoint", "import", checkpoint_file)
    search = run("search", "--space", "nasbench201", "--candidates", 1).stdout.strip()
    assert store.claim("search", "runner", 60, job_id=search) is not None
    store.add_candidate("runner", search, 0, space="nasbench201", encoding="e", canonical_hash="h", seed=0)
    store.finish_candidate("runner", search, 0, error={"reason": "non-finite", "detail": "loss is nan"})

    told = " ".join(run("rank", search).stderr.split())

    assert f"no candidate has a score; {search}-0 failed, non-finite: loss is nan; how the" in told


def test_rank_narrows_and_orders(run: Run, search_id: str) -> None:
    candidates = json.loads(run("rank", search_id, "--json").stdout)
    accuracies = {entry["number"]: entry["metrics"]["accuracy"] for entry in candidates}

    def numbers(*options: object) -> list[int]:
        return [entry["number"] for entry in json.loads(run("rank", search_id, *options, "--json").stdout)]

    assert numbers("--order-by", "accuracy") == sorted(accuracies, key=accuracies.__getitem__)
    assert numbers("--min-accuracy", accuracies[0]) == [2, 0]
    assert numbers("--max-params", 0) == []
    refused = CliRunner().invoke(app, ["rank", search_id, "--pareto", "--max-params", "3"])
    assert refused.exit_code == 2
    assert "leave out --max-params" in refused.output


def test_a_picture_is_a_png(tmp_path: Path) -> None:
    for command in ("samples", "curves"):
        refused = CliRunner().invoke(app, ["checkpoint", command, "latest", "-o", str(tmp_path / "a.svg")])
        assert refused.exit_code == 2
        assert "pictures are PNG files" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_rank_pareto_asks_for_the_front(run: Run, search_id: str) -> None:
    front = json.loads(run("rank", search_id, "--pareto", "--json").stdout)
    assert [entry["number"] for entry in front] == [2]  # accuracy is the search's only objective


def test_show_draws_the_cell(run: Run, store: Store, search_id: str) -> None:
    encoding = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    store.add_candidate(
        "runner", search_id, 9, space="nasbench201", encoding=encoding, canonical_hash="h", seed=0
    )
    metrics = {"accuracy": 0.7, "loss": 1.0, "params": 1234, "flops": 5678, "seconds": 0.5}
    store.finish_candidate("runner", search_id, 9, metrics=metrics, loss_curve=[2.25, 1.5])
    shown = run("show", f"{search_id}-9").stdout
    for expected in ("1,234", "2.25 1.50", "rank           2", "nor_conv_3x3 ──"):
        assert expected in shown
    assert encoding in "".join(shown.split())  # folded where the terminal is narrow
    assert json.loads(run("show", f"{search_id}-9", "--json").stdout)["loss_curve"] == [2.25, 1.5]


def test_a_candidate_is_shown_where_its_search_space_is_not_installed(
    run: Run, store: Store, search_id: str, succeed: Callable[..., None]
) -> None:
    request = store.get_job(search_id).request | {"search_space": {"name": "elsewhere"}}
    gone = store.create_job(JobKind.SEARCH, name="", request=request, progress_total=1)
    assert store.claim(JobKind.SEARCH, "runner", 60, job_id=gone.id)
    succeed(gone.id, 0, accuracy=0.75)
    shown = run("show", f"{gone.id}-0").stdout
    assert "accuracy       0.75" in shown
    assert "not drawn: unknown search space 'elsewhere'" in shown


def test_steering_and_the_list_of_jobs(run: Run, store: Store, search_id: str) -> None:
    assert run("pause", search_id).stdout.strip() == "paused"
    assert run("resume", search_id).stdout.strip() == "queued"
    assert run("cancel", search_id).stdout.strip() == "cancelled"
    assert store.get_job(search_id).state is JobState.CANCELLED
    assert "cancelled" in run("jobs").stdout
    assert [job["id"] for job in json.loads(run("jobs", "--json").stdout)] == [search_id]


@pytest.fixture
def once_shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Does something as soon as a command has shown its first line of progress."""
    show, awaited = _PlainLines.show, []

    def show_and_do(lines: _PlainLines, news: News) -> None:
        show(lines, news)
        while awaited:
            awaited.pop()()

    monkeypatch.setattr(_PlainLines, "show", show_and_do)
    return awaited.append


def test_follow_shows_progress_on_stderr_until_the_end(
    run: Run,
    store: Store,
    search_id: str,
    succeed: Callable[..., None],
    once_shown: Callable[[Callable[[], Any]], None],
) -> None:
    def go_on() -> None:
        succeed(search_id, 3, accuracy=0.95)
        store.finish(search_id, "runner", result={})

    once_shown(go_on)
    result = run("follow", search_id, "--json")
    assert json.loads(result.stdout)["state"] == "succeeded"
    lines = result.stderr.splitlines()
    assert lines[0].startswith("search: running, 3/5, ")  # where it stands, not where it began
    assert lines[-1] == "search: succeeded, 4/5, best accuracy 95.0%"


def test_follow_of_an_extended_search_begins_where_it_stands(
    run: Run, url: str, store: Store, search_id: str, once_shown: Callable[[Callable[[], Any]], None]
) -> None:
    store.finish(search_id, "runner", result={})
    assert run("follow", search_id).stderr == "search: succeeded, 3/5, best accuracy 90.0%\n"
    run("extend", search_id, "--candidates", 4)
    once_shown(lambda: store.act(search_id, Action.CANCEL))
    followed = CliRunner().invoke(app, ["follow", search_id, "--url", url])
    assert followed.stderr.splitlines() == [
        "search: queued, 3/9, best accuracy 90.0%",
        "search: cancelled, 3/9, best accuracy 90.0%",
    ]


def test_follow_does_not_take_an_earlier_life_of_a_search_for_this_one(
    run: Run, url: str, store: Store, search_id: str, once_shown: Callable[[Callable[[], Any]], None]
) -> None:
    store.act(search_id, Action.PAUSE)
    store.release(search_id, "runner")
    store.act(search_id, Action.RESUME)
    store.claim(JobKind.SEARCH, "next runner", 60, job_id=search_id)
    once_shown(lambda: store.act(search_id, Action.CANCEL))
    followed = CliRunner().invoke(app, ["follow", search_id, "--url", url])
    assert followed.stderr.splitlines() == [
        "search: running, 3/5, best accuracy 90.0%",
        "search: cancelled, 3/5, best accuracy 90.0%",
    ]


def test_follow_of_a_job_whose_steps_are_forgotten_tells_how_it_ended(
    run: Run, store: Store, search_id: str
) -> None:
    store.finish(search_id, "runner", result={})
    assert store.drop_events(utc_now() + timedelta(days=1), limit=100) == 3
    assert run("follow", search_id).stderr == "search: succeeded, 3/5\n"


def test_following_a_job_that_fails_is_a_failure_with_its_reason(
    url: str, store: Store, search_id: str
) -> None:
    store.finish(search_id, "runner", error={"title": "DatasetError", "detail": "the digits are gone"})
    result = CliRunner().invoke(app, ["follow", search_id, "--url", url])
    assert result.exit_code == 1
    assert isinstance(result.exception, GtnNasError)
    assert "failed: the digits are gone" in str(result.exception)
    assert result.stderr.endswith(f"it goes on from where it was with: gtn-nas resume {search_id}\n")
    assert CliRunner().invoke(app, ["resume", search_id, "--url", url]).stdout == "queued\n"


def test_resuming_is_not_advised_where_it_would_fail_again(url: str, store: Store, search_id: str) -> None:
    problem = {"type": "urn:gtn-nas:problem:memory-limit", "title": "MemoryLimitError", "remedy": "lower it"}
    store.finish(search_id, "runner", error=problem)
    result = CliRunner().invoke(app, ["follow", search_id, "--url", url])
    assert "MemoryLimitError. Lower it" in str(result.exception)
    assert "resume" not in result.stderr


def test_what_the_controller_refuses_names_the_field(url: str, run: Run, checkpoint_file: Path) -> None:
    run("checkpoint", "import", checkpoint_file)
    for arguments, complaint in [
        (["search", "--space", "nasbench999"], "search_space.name"),
        (["search", "--space", "nasbench201", "--space-option", "channels=-1"], "channels"),
        (["search", "--checkpoint", "ffff"], "no checkpoints match 'ffff'"),
        (["checkpoint", "delete", ""], "is empty"),
        (["train-gtn", "--dataset", "digitz"], "dataset.name"),
        (["show", "no-such"], "no-such"),
        (["rank", "no-such"], "no-such"),
    ]:
        result = CliRunner().invoke(app, [*arguments, "--url", url])
        assert isinstance(result.exception, GtnNasError), result.output
        assert complaint in str(result.exception)


def test_a_search_is_no_candidate_and_a_candidate_no_search(url: str) -> None:
    for command, given, told in [
        ("show", "0" * 16, f"those of a search: gtn-nas rank {'0' * 16}"),
        ("retrain", "0" * 16, f"those of a search: gtn-nas rank {'0' * 16}"),
        ("rank", f"{'0' * 16}-7", f"gtn-nas show {'0' * 16}-7; its search: gtn-nas rank {'0' * 16}"),
    ]:
        result = CliRunner().invoke(app, [command, given, "--url", url])
        assert isinstance(result.exception, GtnNasError), result.output
        assert told in str(result.exception)


def test_a_name_in_two_lines_is_refused_in_words(url: str, search_id: str) -> None:
    result = CliRunner().invoke(app, ["edit", search_id, "--name", "x\ny", "--url", url])
    assert "name: there must be no control characters in it, such as line breaks" in str(result.exception)


def test_a_checkpoint_that_is_here_already_keeps_its_name(run: Run, checkpoint_file: Path) -> None:
    assert run("checkpoint", "import", checkpoint_file, "--name", " first ").stderr == ""
    again = run("checkpoint", "import", checkpoint_file, "--name", "second")
    assert again.stderr == "already here as 'first'; its name stays\n"


def test_an_id_of_no_job_at_all_is_said_to_be_none(url: str, run: Run) -> None:
    for command in ("status", "cancel", "follow"):
        result = CliRunner().invoke(app, [command, "xyz", "--url", url])
        assert isinstance(result.exception, GtnNasError)
        assert "no job with id or name 'xyz'" in str(result.exception)
        assert "fidelity" not in str(result.exception)


def test_a_name_means_the_newest_job_that_has_it(run: Run, search_id: str) -> None:
    def known(command: str) -> Any:
        return json.loads(run(command, "mine", "--json").stdout)

    run("edit", search_id, "--name", "mine")
    run("clone", search_id, "--name", "mine longer")
    assert (known("status")["id"], len(known("rank"))) == (search_id, 3)
    clone = run("clone", "mine", "--name", "mine").stdout.strip()
    assert (known("status")["id"], known("rank")) == (clone, [])
    training = run("train-gtn", "--dataset", "digits", "--name", "mine").stdout.strip()
    assert (known("status")["id"], known("pause")["id"]) == (training, clone)
    assert json.loads(run("extend", "mine", "-n", 1, "--json").stdout)["id"] == clone
    run("cancel", training)
    run("delete", training)


def test_what_cannot_be_taken_back_happens_to_no_namesake(url: str, run: Run, search_id: str) -> None:
    run("edit", search_id, "--name", "mine")
    clone = run("clone", search_id, "--name", "mine").stdout.strip()
    for command in ("cancel", "delete"):
        result = CliRunner().invoke(app, [command, "mine", "--url", url])
        assert "several jobs are called 'mine'; give the id" in str(result.exception)
    run("edit", clone, "--name", "other")
    assert json.loads(run("cancel", "mine", "--json").stdout)["id"] == search_id
    assert json.loads(run("delete", "mine", "--json").stdout) == {"id": search_id, "deleted": True}


def test_an_empty_name_means_no_job(url: str, search_id: str) -> None:
    result = CliRunner().invoke(app, ["delete", "", "--url", url])
    assert "the id of the job is empty" in str(result.exception)


def test_several_jobs_are_steered_at_a_time(url: str, run: Run, store: Store, search_id: str) -> None:
    both = (search_id, run("clone", search_id).stdout.strip())
    assert run("pause", *both).stdout == "".join(f"{each}: paused\n" for each in both)
    assert run("resume", *both).stdout == "".join(f"{each}: queued\n" for each in both)
    some = CliRunner().invoke(app, ["cancel", both[0], "no such", both[1], "--url", url])
    assert (some.exit_code, some.stdout) == (1, "".join(f"{each}: cancelled\n" for each in both))
    assert some.stderr == "gtn-nas: no such: no job with id or name 'no such'; `gtn-nas jobs` lists them\n"
    told = json.loads(run("delete", *both, "--json").stdout)
    assert told == [{"id": each, "deleted": True} for each in both]
    assert store.list_jobs(JobKind.SEARCH).items == []


def test_it_is_told_why_a_search_ended_early(run: Run, store: Store, search_id: str) -> None:
    assert run("rank", search_id).stderr == ""
    result = {"exhausted": "no new architecture was found after 3 candidates", "timed_out": False}
    store.finish(search_id, "runner", result=result)
    told = "it ended early: no new architecture was found after 3 candidates"
    assert run("follow", search_id).stderr.splitlines()[-1] == told
    assert run("rank", search_id).stderr.splitlines() == [told]
    facts = dict(line.split(maxsplit=1) for line in run("status", search_id).stdout.splitlines())
    assert facts["ended"] == "no new architecture was found after 3 candidates"


def test_it_is_told_which_given_architectures_are_no_candidates(
    run: Run, store: Store, search_id: str
) -> None:
    result = {"exhausted": None, "timed_out": False, "left_out": ["first", "second"]}
    store.finish(search_id, "runner", result=result)
    told = "left out, as they are beyond the constraints: first, second"
    assert run("follow", search_id).stderr.splitlines()[-1] == told
    assert run("rank", search_id).stderr.splitlines() == [told]


def test_status_tells_how_many_candidates_failed_and_why(
    run: Run, store: Store, search_id: str, propose: Callable[..., None]
) -> None:
    assert "failed" not in run("status", search_id).stdout
    for number in (3, 4):
        propose(search_id, number)
        store.finish_candidate("runner", search_id, number, error={"reason": "out of memory"})
    facts = dict(line.split(maxsplit=1) for line in run("status", search_id).stdout.splitlines())
    assert facts["failed"] == f"2 × out of memory, first {search_id}-3"


def test_the_list_of_jobs_tells_what_they_wait_for(run: Run, store: Store) -> None:
    waiting, other = (run("train-gtn", "--dataset", "digits").stdout.strip() for _ in range(2))
    store.set_waiting(waiting, None, "a GPU\nof its own")
    told = run("jobs")
    assert other in told.stdout
    assert told.stderr.splitlines()[-1] == f"{waiting} waits for a GPU of its own"
    assert f"{other} waits" not in told.stderr


def test_jobs_are_listed_by_kind_and_state_newest_first(run: Run, search_id: str) -> None:
    trained = run("train-gtn", "--dataset", "digits", "--name", "mine").stdout.strip()
    again = run("search", "--candidates", 3).stdout.strip()

    def listed(*arguments: str) -> list[str]:
        return [job["id"] for job in json.loads(run("jobs", *arguments, "--json").stdout)]

    assert listed() == [again, trained, search_id]
    assert listed("--limit", "2") == [again, trained]
    assert listed("--kind", "search") == [again, search_id]
    assert listed("--state", "running") == [search_id]
    assert listed("--kind", "final-training") == []
    assert listed("--name", "MINE") == [trained]
    words = run("jobs").stdout.split()
    assert [word for word in words if word in {again, trained, search_id}] == [again, trained, search_id]


def test_status_tells_what_a_job_is_and_how_far(run: Run, search_id: str) -> None:
    facts = dict(line.split(maxsplit=1) for line in run("status", search_id).stdout.splitlines())
    assert facts["state"] == "running, 3/5"
    assert facts["best"] == f"{search_id}-2, accuracy 90.00%"
    assert json.loads(run("status", search_id, "--json").stdout)["id"] == search_id


def test_what_plugins_and_users_wrote_commands_no_terminal_and_forges_no_line(
    run: Run, store: Store, search_id: str, propose: Callable[..., None]
) -> None:
    text = "\x1b[2Jbad\nid  forged\naccuracy       0.99"
    propose(search_id, 3)
    store.finish_candidate("runner", search_id, 3, error={"reason": "error", "detail": text})
    store.finish(search_id, "runner", error={"title": "error", "detail": text, "status": 500})
    for command in (("status", search_id), ("show", f"{search_id}-3")):
        printed = run(*command).stdout
        assert r"\x1b[2Jbad" in printed
        assert "\x1b" not in printed
        starts = [line.split()[0] for line in printed.splitlines() if line and not line.startswith(" ")]
        assert "accuracy" not in starts
        assert starts.count("id") == (command[0] == "status")


def test_letters_that_the_locale_has_not_are_escaped(url: str, store: Store) -> None:
    store.create_job(JobKind.SEARCH, name="Süche", request={}, progress_total=1)
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "jobs", "--url", url],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"S\xfcche" in done.stdout


@pytest.mark.parametrize("command", [("jobs",), ("jobs", "--json"), ("--version",)])
def test_a_command_whose_output_nobody_takes_ends_well(url: str, command: tuple[str, ...]) -> None:
    program = [sys.executable, "-m", "services.cli", *command]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *program]
    done = subprocess.run(closed, capture_output=True, text=True, env={**os.environ, "GTN_NAS_URL": url})
    assert (done.returncode, done.stderr) == (0, "")


def test_status_tells_what_a_job_waits_for(run: Run, store: Store, search_id: str) -> None:
    store.set_waiting(search_id, "runner", "no node has 8 GPUs")
    assert "waiting for" in run("status", search_id).stdout
    assert "no node has 8 GPUs" in run("status", search_id).stdout


def test_the_best_of_a_search_is_told_by_what_it_works_for(
    run: Run, store: Store, search_id: str, succeed: Callable[..., None]
) -> None:
    smallest = run("search", "--candidates", 5, "--objective", "params").stdout.strip()
    assert store.claim("search", "runner", 60, job_id=smallest) is not None
    for number, (accuracy, params) in enumerate([(0.9, 3000), (0.4, 1000)]):
        succeed(smallest, number, accuracy=accuracy, params=params, reward=-params)
    facts = dict(line.split(maxsplit=1) for line in run("status", smallest).stdout.splitlines())
    assert facts["best"] == f"{smallest}-1, params 1,000, accuracy 40.00%"
    store.finish(smallest, "runner", result={})
    assert run("follow", smallest).stderr.splitlines()[-1] == "search: succeeded, 2/5, best params 1,000"


def test_a_job_is_given_another_name_and_priority(url: str, run: Run, store: Store, search_id: str) -> None:
    assert run("edit", search_id, "--name", "best so far").stdout == "best so far, priority 0\n"
    assert run("edit", search_id, "--priority", -2).stdout == "best so far, priority -2\n"
    job = store.get_job(search_id)
    assert (job.name, job.priority) == ("best so far", -2)
    told = json.loads(run("edit", search_id, "--name", "", "--json").stdout)
    assert (told["id"], told["name"], told["priority"]) == (search_id, "", -2)
    nothing = CliRunner().invoke(app, ["edit", search_id, "--url", url])
    assert nothing.exit_code == 2
    assert "nothing to change" in nothing.stderr


def test_every_command_on_jobs_speaks_json(run: Run, search_id: str, store: Store) -> None:
    for command, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert json.loads(run(command, search_id, "--json").stdout)["state"] == state
    assert json.loads(run("delete", search_id, "--json").stdout) == {"id": search_id, "deleted": True}
    assert json.loads(run("jobs", "--json").stdout) == []


def test_jobs_of_every_kind_and_checkpoints_are_deleted(run: Run, store: Store, search_id: str) -> None:
    checkpoint_id = store.get_job(search_id).subject_id
    training = run("train-gtn", "--dataset", "digits").stdout.strip()
    for job_id in (search_id, training):
        run("cancel", job_id)
        assert run("delete", job_id).stdout == "deleted\n"
    told = json.loads(run("checkpoint", "delete", str(checkpoint_id)[:12], "--json").stdout)
    assert told == {"id": checkpoint_id, "deleted": True}
    assert store.list_checkpoints().items == []


def test_a_search_is_cloned_and_extended(run: Run, store: Store, search_id: str) -> None:
    clone = run("clone", search_id, "--seed", 7, "--set", "max_candidates=9", "--priority", 2).stdout.strip()
    job = store.get_job(clone, JobKind.SEARCH)
    assert (job.request["seed"], job.request["max_candidates"], job.request["priority"]) == (7, 9, 2)
    assert run("extend", search_id, "--candidates", 4).stdout == "running\n"
    assert json.loads(run("extend", search_id, "-n", 1, "--json").stdout)["progress"]["total"] == 10


def test_files_are_told_as_json(run: Run, checkpoint_file: Path, tmp_path: Path) -> None:
    stored = json.loads(run("checkpoint", "import", checkpoint_file, "--json").stdout)
    assert json.loads(run("checkpoint", "show", "latest", "--json").stdout) == stored
    for command, name in (("export", "again.gtn"), ("samples", "samples.png")):
        told = json.loads(run("checkpoint", command, "latest", "-o", tmp_path / name, "--json").stdout)
        assert told == {"path": str(tmp_path / name)}
        assert (tmp_path / name).stat().st_size > 0


def test_a_file_can_go_to_stdout_alone(run: Run, url: str, checkpoint: FrozenCheckpoint) -> None:
    with Client(url) as client:
        client.create_checkpoint(checkpoint.to_bytes())
    assert run("checkpoint", "export", "latest", "-o", "-").stdout_bytes == checkpoint.to_bytes()
    arguments = ["checkpoint", "export", "latest", "-o", "-", "--json", "--url", url]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_file_that_cannot_be_written_whole_leaves_the_one_before_it(
    run: Run, url: str, checkpoint_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run("checkpoint", "import", checkpoint_file)
    picture, link = tmp_path / "new folder" / "samples.png", tmp_path / "link"
    link.symlink_to(picture)
    run("checkpoint", "samples", "latest", "-o", picture)
    before = picture.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        arguments = ["checkpoint", "curves", "latest", "-o", str(picture), "--url", url]
        assert isinstance(CliRunner().invoke(app, arguments).exception, OSError)
    assert picture.read_bytes() == before
    run("checkpoint", "curves", "latest", "-o", link)
    assert link.is_symlink()
    assert picture.read_bytes() != before
    assert list(picture.parent.iterdir()) == [picture]


def test_api_keys_are_made_listed_and_revoked_on_the_database(tmp_path: Path) -> None:
    def keys(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["api-key", *arguments, "--data-dir", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result

    created = json.loads(keys("create", "alice", "--scope", "read", "--json").stdout)
    token = created["token"]
    database_url = f"sqlite:///{tmp_path / 'gtn-nas.db'}"
    with open_store(database_url) as store:
        key = store.authenticate(token)
    assert key is not None
    assert (key.id, key.name, key.scopes) == (created["id"], "alice", (Scope.READ,))
    listed = keys("list", "--json").stdout
    assert json.loads(listed)[0]["id"] == key.id
    assert token not in listed
    assert "alice" in keys("list").stdout
    other = json.loads(keys("create", "bob", "--json").stdout)
    assert "last" not in keys("revoke", key.id).stderr
    with open_store(database_url) as store:
        assert store.authenticate(token) is None
    assert "requests still need one" in keys("revoke", other["id"], "--json").stderr


@pytest.fixture
def db(tmp_path: Path) -> Callable[..., Result]:
    """Runs `gtn-nas db` on a data directory of its own."""
    return lambda *arguments: CliRunner().invoke(app, ["db", *arguments, "--data-dir", str(tmp_path)])


def test_the_schema_is_told_and_brought_up_to_date(db: Callable[..., Result]) -> None:
    before = db("current")
    assert (before.exit_code, before.stdout.strip()) == (1, "no schema")
    assert "gtn-nas db upgrade" in before.stderr
    upgraded = db("upgrade")
    assert upgraded.exit_code == 0
    assert db("current").stdout == upgraded.stdout
    answer = db("current", "--json")
    assert json.loads(answer.stdout) == dict.fromkeys(("revision", "needed"), upgraded.stdout.strip())


def test_of_a_schema_that_is_newer_the_newer_version_is_asked_for(
    db: Callable[..., Result], tmp_path: Path
) -> None:
    assert db("upgrade").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "gtn-nas.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    answer = db("current")
    assert (answer.exit_code, answer.stdout.strip()) == (1, "9999")
    assert "install the newer version" in answer.stderr
    assert "db upgrade" not in answer.stderr


def test_of_a_schema_that_is_none_of_ours_another_database_is_asked_for(
    db: Callable[..., Result], tmp_path: Path
) -> None:
    assert db("upgrade").exit_code == 0
    with closing(sqlite3.connect(tmp_path / "gtn-nas.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ''")
    answer = db("current")
    assert (answer.exit_code, answer.stdout) == (1, "\n")
    assert "must name a database of gtn-nas" in answer.stderr


def test_a_database_goes_back_to_the_schema_of_an_earlier_version(db: Callable[..., Result]) -> None:
    assert db("upgrade").exit_code == 0
    assert db("downgrade", "0010").stdout == "0010\n"
    assert db("current").stdout == "0010\n"
    assert json.loads(db("downgrade", "0009", "--json").stdout)["revision"] == "0009"
    emptying = db("downgrade", "base")
    assert emptying.exit_code == 2
    assert "four digits" in " ".join(emptying.stderr.split())
    assert db("current").stdout == "0009\n"


def test_a_misspelt_setting_is_told(db: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTN_NAS_MAX_RUNING_SEARCHES", "3")
    assert db("upgrade").stderr.split() == (
        [
            "there",
            "is",
            "no",
            "setting",
            "GTN_NAS_MAX_RUNING_SEARCHES;",
            "did",
            "you",
            "mean",
            "GTN_NAS_MAX_RUNNING_SEARCHES?",
        ]
    )


def test_a_database_is_copied_to_a_file_that_is_not_there(db: Callable[..., Result], tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    revision = db("upgrade").stdout
    assert json.loads(db("backup", str(target), "--json").stdout) == {
        "path": str(target),
        "size_bytes": target.stat().st_size,
    }
    assert db("current", "--database-url", f"sqlite:///{target}").stdout == revision
    again = db("backup", str(target))
    assert (again.exit_code, again.stdout) == (1, "")
    assert "name another file" in str(again.exception)


def test_a_database_is_copied_into_a_new_one(db: Callable[..., Result], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    db("upgrade")
    with open_store(f"sqlite:///{tmp_path / 'gtn-nas.db'}") as store:
        store.add_checkpoint("a" * 64, {}, 1)
    answer = db("copy", url, "--json")
    rows = json.loads(answer.stdout)["rows"]
    assert {table: count for table, count in rows.items() if count} == {"checkpoints": 1, "identity": 1}
    assert "checkpoints: 1\n" in answer.stderr
    with open_store(url) as store:
        assert [each.id for each in store.list_checkpoints()] == ["a" * 64]
    again = db("copy", url)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "table checkpoints has rows" in str(again.exception)
    assert "2 rows copied" in db("copy", f"sqlite:///{tmp_path / 'other.db'}").stdout


def test_fidelity_answers_with_the_contracts_json(checkpoint_file: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    edges = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3")
    rows = [f"|{edge}~0|+|none~0|{edge}~1|+|skip_connect~0|none~1|{edge}~2|" for edge in edges]
    table.write_text(
        "architecture,accuracy\n" + "".join(f"{row},{90 + place}\n" for place, row in enumerate(rows))
    )
    arguments = ["--checkpoint", checkpoint_file, "--table", table, "-n", 4, "--space-option", "channels=4"]
    result = CliRunner().invoke(
        app, ["fidelity", *map(str, arguments), "--estimator", "gtn", "--json"], catch_exceptions=False
    )
    report = json.loads(result.stdout)
    assert (report["n"], report["population"]) == (4, "unique")
    (measured,) = report["estimators"]
    assert measured["estimator"] == "gtn"
    assert {"value", "low", "high"} == measured["spearman"].keys() == measured["kendall"].keys()
    assert measured["seconds_per_candidate"] > 0
