"""Commands that submit long work: train-gtn, search, clone, retrain."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gtn_core.presets import load_preset, preset_names
from services.cli import options
from services.cli.candidates import candidate_rows
from services.cli.checkpoints import resolve_checkpoint
from services.cli.console import advise, connect, print_json, say
from services.cli.jobs import SearchId, resolve_search
from services.cli.progress import watch
from services.cli.tables import print_table
from services.given import given

if TYPE_CHECKING:
    from services.client import Client, Job


def train_gtn(
    dataset: Annotated[
        str,
        typer.Option(
            help="NAME, NAME:PATH or NAME@SIZE:PATH, such as digits, mnist:/data/mnist, folder@32:/photos."
        ),
    ],
    preset: Annotated[
        str | None, typer.Option(help=f"A named configuration: {', '.join(preset_names())}.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="TOML file of the configuration; wins over --preset."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the configuration; wins over --config.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Height and width to scale images down to.")
    ] = None,
    learner_space: Annotated[
        str | None, typer.Option(help="Also meta-train on learners of this search space, or its file.")
    ] = None,
    learner_space_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, such as channels=8.")
    ] = None,
    learner_space_fraction: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of meta steps with such a learner.")
    ] = None,
    calibration_table: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV of true accuracies whose order --set ranking_weight=1 teaches; without one, "
            "architectures are trained for real.",
        ),
    ] = None,
    calibration_architectures: Annotated[
        int | None, typer.Option(min=2, help="How many architectures the order is taken from.")
    ] = None,
    calibration_steps: Annotated[
        int | None, typer.Option(min=1, help="Without a table: real steps of each of them.")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Ray processes that share the learners of a meta step.")
    ] = None,
    cpus_per_rank: Annotated[float | None, typer.Option(help="CPU cores of one.")] = None,
    gpus_per_rank: Annotated[float | None, typer.Option(help="GPUs of one.")] = None,
    learning_curves: Annotated[
        bool | None,
        typer.Option(
            "--learning-curves/--no-learning-curves",
            help="Measure at the end how fast learners learn from it, beside real data and noise.",
        ),
    ] = None,
    seed: options.Seed = None,
    name: options.Name = None,
    priority: options.Priority = None,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Submit a meta-training run; its product is a frozen checkpoint.

    Example: `gtn-nas train-gtn --dataset digits --set meta_steps=200 --follow`
    """
    named = load_preset(preset) if preset else {}
    configuration = {**named, **options.read_mapping(config), **options.key_values(set_)}
    cells = options.named_space("learner-space", learner_space, learner_space_option)
    calibration = given(
        table=options.table(calibration_table),
        architectures=calibration_architectures,
        steps=calibration_steps,
    )
    resources = given(ranks=ranks, cpus_per_rank=cpus_per_rank, gpus_per_rank=gpus_per_rank)
    with connect(url) as client:
        job: Job = client.create_meta_training(
            options.dataset(dataset, image_size),
            configuration,
            seed=seed,
            name=name,
            learner_space=cells,
            learner_space_fraction=learner_space_fraction,
            calibration_set=calibration or None,
            learning_curves=learning_curves,
            resources=resources or None,
            priority=priority,
        )
        job = _report(client, job, "meta-training", follow=follow, as_json=as_json)
        if follow and not as_json:
            say(f"checkpoint {job.model_dump()['checkpoint_id']}")


def search(
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="TOML or JSON file of the whole request; options win over it."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint id, the start of one, a name (the newest of it), or `latest`.",
            show_default="latest",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Search space, such as nasbench201, or a .toml or .json file that describes one."),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Search algorithm, such as regularized_evolution.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option("--candidates", "-n", min=1, help="How many to evaluate.")
    ] = None,
    estimator: Annotated[str | None, typer.Option(help="Performance estimator, such as gtn.")] = None,
    space_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, such as channels=8.")] = None,
    algorithm_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE.")] = None,
    estimator_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="accuracy, score, loss, params, flops, seconds or latency_ms; repeat it, the first leads."
        ),
    ] = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(help="Encoding to evaluate first, or @FILE with one on each line; repeat it."),
    ] = None,
    best_of: Annotated[
        str | None,
        typer.Option(help="Id or name of a search whose best are evaluated first, in its search space."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="How many of --best-of.", show_default="20, or --candidates"),
    ] = None,
    max_params: Annotated[int | None, typer.Option(min=1, help="Most trainable parameters.")] = None,
    max_flops: Annotated[int | None, typer.Option(min=1, help="Most FLOPs of a forward pass.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Longest forward pass, measured before any training.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Wall-clock limit of the search.")] = None,
    max_candidate_seconds: Annotated[
        float | None, typer.Option(help="Longest evaluation of one candidate; beyond it, it fails.")
    ] = None,
    max_concurrent: Annotated[int | None, typer.Option(min=1, help="Most candidates at a time.")] = None,
    cpus_per_candidate: Annotated[float | None, typer.Option(min=0, help="CPU cores of one.")] = None,
    gpus_per_candidate: Annotated[float | None, typer.Option(min=0, help="GPUs of one; may be 0.25.")] = None,
    seed: options.Seed = None,
    name: options.Name = None,
    priority: options.Priority = None,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Submit a search for architectures that learn best from a checkpoint's synthetic data.

    What is left out gets the controller's default.

    Example: `gtn-nas search --checkpoint latest --space nasbench201 --candidates 40 --follow`
    """
    if top is not None and best_of is None:
        raise typer.BadParameter("--top is given without --best-of; name the search whose best are meant")
    written = given(**options.read_mapping(config))
    limits = given(max_params=max_params, max_flops=max_flops, max_latency_ms=max_latency_ms)
    resources = given(cpus_per_candidate=cpus_per_candidate, gpus_per_candidate=gpus_per_candidate)
    request = written | given(
        search_space=options.named_space("space", space, space_option),
        algorithm=options.named_config("algorithm", algorithm, algorithm_option),
        estimator=options.named_config("estimator", estimator, estimator_option),
        initial_architectures=options.lines("initial", initial) or None,
        max_candidates=candidates,
        max_seconds=max_seconds,
        max_candidate_seconds=max_candidate_seconds,
        objectives=objective or None,
        constraints=_added(limits, written.get("constraints")),
        resources=_added(resources, written.get("resources")),
        max_concurrent=max_concurrent,
        seed=seed,
        name=name,
        priority=priority,
    )
    with connect(url) as client:
        if checkpoint:
            request["checkpoint_id"] = checkpoint
        if best_of is not None:
            _begin_with_the_best(client, best_of, top, request)
        request["checkpoint_id"] = resolve_checkpoint(client, str(request.get("checkpoint_id") or "latest"))
        job: Job = client.create_search(**request)
        _report_search(client, job, follow=follow, as_json=as_json, url=url)


TOP = 20
"""How many of an earlier search's best are taken where nothing else is said."""


def _begin_with_the_best(client: "Client", search: str, top: int | None, request: dict[str, Any]) -> None:
    """Add another search's best to what a request begins with; its checkpoint and space where it has none."""
    search = resolve_search(client, search)
    earlier = client.get_search(search)
    request["checkpoint_id"] = request.get("checkpoint_id") or earlier.checkpoint_id
    space = request.setdefault("search_space", earlier.request["search_space"])
    theirs = earlier.request["search_space"]["name"]
    if isinstance(space, dict) and space.get("name") != theirs:
        raise typer.BadParameter(
            f"--best-of {search} is a search in {theirs}, whose architectures are none of "
            f"{space.get('name')}: leave the space out, or take the best of another search"
        )
    first, most = request.get("initial_architectures", []), request.get("max_candidates")
    if not isinstance(first, list):
        return  # the controller refuses it by name
    room = max(1, most - len(first)) if isinstance(most, int) else TOP
    request["initial_architectures"] = first + _best(client, search, top or min(TOP, room))


def _best(client: "Client", search: str, top: int) -> list[str]:
    """Encodings of a search's best candidates. Raises GtnNasError when none has a score."""
    from gtn_core.errors import GtnNasError

    found = [each.architecture.encoding for each in client.candidates(search, state="succeeded", limit=top)]
    if not found:
        raise GtnNasError(f"search {search} has no candidate with a score yet; see: gtn-nas status {search}")
    return found


def clone(
    search: SearchId,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the request, such as max_candidates=200; repeat it."),
    ] = None,
    seed: options.Seed = None,
    name: options.Name = None,
    priority: options.Priority = None,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Submit a search again, as it was or with changes.

    Example: `gtn-nas clone 1f0c9a7be2d34c58 --seed 1 --set max_candidates=200 --follow`
    """
    changes: dict[str, Any] = options.key_values(set_) | given(seed=seed, name=name, priority=priority)
    with connect(url) as client:
        job: Job = client.clone(resolve_search(client, search), **changes)
        _report_search(client, job, follow=follow, as_json=as_json, url=url)


def retrain(
    candidate: options.CandidateId,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the real training data.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the training, such as cutout=16; repeat it."),
    ] = None,
    seed: options.Seed = None,
    priority: options.Priority = None,
    follow: options.Follow = False,
    as_json: options.AsJson = False,
    url: options.Url = None,
) -> None:
    """Train a candidate on real data, and measure it once on test data.

    Example: `gtn-nas retrain 1f0c9a7be2d34c58-17 --epochs 30 --set cutout=16 --follow`
    """
    asked: dict[str, Any] = options.key_values(set_) | given(epochs=epochs, seed=seed, priority=priority)
    with connect(url) as client:
        job: Job = client.retrain(candidate, **asked)
        job = _report(client, job, "final training", follow=follow, as_json=as_json)
        if follow and not as_json:
            say(f"test accuracy {job.model_dump()['test_accuracy']:.2%}")


def _report(client: "Client", job: "Job", description: str, *, follow: bool, as_json: bool) -> "Job":
    if follow:
        job = watch(client, job, description)
    if as_json:
        print_json(job)
    elif not follow:
        say(job.id)
        advise(f"{description} submitted; watch it with: gtn-nas follow {job.id}")
    return job


def _report_search(client: "Client", job: "Job", *, follow: bool, as_json: bool, url: str | None) -> None:
    if follow and not as_json:
        _advise_of_gpus(job, url)
    job = _report(client, job, "search", follow=follow, as_json=as_json)
    if as_json:
        return
    if follow:
        print_table(candidate_rows(client.candidates(job.id, state="succeeded", limit=10)))
    else:
        _advise_of_gpus(job, url)


def _advise_of_gpus(job: "Job", url: str | None) -> None:
    """Tell whoever asked for no GPU that there are some: nothing fails without them, it only takes long."""
    from gtn_core.errors import GtnNasError

    if job.request["resources"]["gpus_per_candidate"]:
        return
    # The search is submitted, whatever the cluster is doing: that is worth one attempt.
    with suppress(GtnNasError), connect(url, retries=0) as client:
        gpus = client.cluster().gpus.total
        if gpus:
            advise(
                f"candidates are scored on CPUs; the cluster has {gpus:g} GPU{'s' * (gpus != 1)}, which "
                "--gpus-per-candidate 1, or a part of one such as 0.25, would use"
            )


def _added(said: dict[str, Any], written: Any) -> Any:
    """What a file says together with what options say; None where these say nothing."""
    if not said:
        return None
    if written is not None and not isinstance(written, dict):
        return written  # which the controller refuses by name
    return {**(written or {}), **said}
