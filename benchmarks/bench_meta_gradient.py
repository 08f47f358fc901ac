"""Time and peak memory of one meta step for growing unrolls: every form against a plain unroll and `higher`.

    python benchmarks/bench_meta_gradient.py

Each cell is a fresh process. Memory is its peak during the meta steps beyond what it held before the first
(resident memory, or the allocator's peak on a GPU); time is of the process's own processor, so that others on
the machine count little, and the clock's on a GPU. On a CPU each is measured on the C library's heap and on
jemalloc's, which the local stack gives to its meta-training worker where it is installed: what differs is how
much of the heap lies idle between what is kept. What tensors alone take is the peak of PyTorch's allocations
in one more meta step: the process may hold less of it beyond its start, as the first step leaves it a heap to
use. The plain unroll is written out here and shares no code with the forms; `higher` (Grefenstette et al.,
2019) is measured where it is installed: pip install -e ".[benchmarks]". On a CUDA device each form is also
measured as it is recorded and replayed (`cuda_graphs`). The images are noise: neither number depends on them.
"""

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from itertools import accumulate, product
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F
from conditions import conditions, require_device, write_results
from torch.func import functional_call
from torch.profiler import ProfilerActivity, profile

from gtn_core import ConvNetSampler, MetaTrainingConfig, Split
from gtn_core.config import MetaGradientForm
from gtn_core.curriculum import LearnedCurriculum
from gtn_core.layers import batch_statistics
from gtn_core.outer_loss import outer_loss
from gtn_core.randomness import seeded_initialisation
from gtn_core.recorded_meta_gradient import Recording
from services.heap import heap_environment

BASELINES = ("plain", "higher")
HEAPS = {"default": {}, "jemalloc": heap_environment({})}
FORMS = (*BASELINES, *get_args(MetaGradientForm))
RECORDED = {f"{form}_recorded": form for form in get_args(MetaGradientForm)}
IMAGE_SHAPE, CLASSES = (1, 28, 28), 10


def main() -> None:
    arguments = parse_arguments()
    require_device(arguments.device)
    if arguments.form:
        print(json.dumps(measured(arguments.form, arguments.steps[0], arguments)))
        return
    cells = []
    heaps = [name for name in HEAPS if name == "default" or (HEAPS[name] and arguments.device == "cpu")]
    forms = FORMS if arguments.device == "cpu" else (*FORMS, *RECORDED)
    if find_spec("higher") is None:
        print('the baseline higher is left out: it is not installed, pip install -e ".[benchmarks]"')
        forms = tuple(form for form in forms if form != "higher")
    for steps in arguments.steps:
        for heap, form in product(heaps, forms):
            cell = in_fresh_process(form, steps, HEAPS[heap])
            cells.append({"heap": heap, "form": form, "inner_steps": steps, **cell})
            print(cells[-1], flush=True)
        # After each, so that a run that is cut short keeps what it has.
        if any("error" not in cell for cell in cells):
            results = collected(cells, arguments)
            path = write_results(f"bench_meta_gradient_{arguments.device}", results)
    if all("error" in cell for cell in cells):
        raise SystemExit(f"nothing could be measured: {cells[-1]['error']}")
    print_table(results)
    print(path)


def collected(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    config = configuration(max(arguments.steps), arguments)
    return {
        "benchmark": "meta_gradient",
        **conditions(),
        "threads": arguments.threads,
        "device": arguments.device,
        "image_shape": IMAGE_SHAPE,
        "config": config.model_dump(mode="json"),
        "state_bytes_per_step": state_bytes(config),
        "repetitions": arguments.repetitions,
        "cells": cells,
        "targets": {
            measure: targets([cell for cell in cells if cell["heap"] == heap], config, peak)
            for measure, (heap, peak) in measures(cells).items()
        },
    }


def measures(cells: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """What memory is told as: the heap that was measured on, and the peak of which kind."""
    heaps = dict.fromkeys(cell["heap"] for cell in cells)
    return {heap: (heap, "peak_bytes") for heap in heaps} | {"tensors": (next(iter(heaps)), "tensor_bytes")}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 16, 32, 64, 128], help="inner steps")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--outer-batch-size", type=int, default=256)
    parser.add_argument("--learner-channels", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--learner-hidden", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5, help="meta steps timed, after one that is not")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--form", choices=(*FORMS, *RECORDED), help="measure this one here, with the first of --steps"
    )
    return parser.parse_args()


def configuration(steps: int, arguments: argparse.Namespace) -> MetaTrainingConfig:
    return MetaTrainingConfig(
        inner_steps=steps,
        batch_size=arguments.batch_size,
        outer_batch_size=arguments.outer_batch_size,
        learner_channels=tuple(arguments.learner_channels),
        learner_hidden=arguments.learner_hidden,
        outer_loss_every=8,
    )


def in_fresh_process(form: str, steps: int, heap: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--form", form, "--steps", str(steps)]
    environment = os.environ | heap
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(form: str, steps: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and peak bytes of one meta step; the update of the weights, equal for all, is left out."""
    torch.set_num_threads(arguments.threads)
    device, config = arguments.device, configuration(steps, arguments)
    with seeded_initialisation(0):
        curriculum = LearnedCurriculum(config, image_shape=IMAGE_SHAPE, num_classes=CLASSES).to(device)
        real = Split(
            torch.randn(config.outer_batch_size, *IMAGE_SHAPE).to(device),
            torch.arange(config.outer_batch_size).to(device) % CLASSES,
        )
    step = step_of(form)
    step(curriculum, real, configuration_of_one_step(config), form)  # the libraries' own memory
    memory = Memory(device)
    seconds = []
    for _ in range(1 + arguments.repetitions):
        curriculum.zero_grad()
        synchronize(device)
        started = clock(device)
        step(curriculum, real, config, form)
        synchronize(device)
        seconds.append(clock(device) - started)
    timed = seconds[1:]
    norm = torch.nn.utils.get_total_norm([p.grad for p in curriculum.parameters() if p.grad is not None])
    peak = memory.peak()
    curriculum.zero_grad()
    tensors = peak if device != "cpu" else peak_of_tensors(lambda: step(curriculum, real, config, form))
    return {
        "seconds": {
            "median": statistics.median(timed),
            "min": min(timed),
            "max": max(timed),
            "n": len(timed),
        },
        "peak_bytes": peak,
        "tensor_bytes": tensors,
        "gradient_norm": norm.item(),
    }


def step_of(form: str) -> Callable[..., None]:
    if form in RECORDED:
        return Recorded(RECORDED[form])
    return {"plain": plain, "higher": with_higher}.get(form, ours)


def configuration_of_one_step(config: MetaTrainingConfig) -> MetaTrainingConfig:
    return config.model_copy(update={"inner_steps": 1})


def ours(
    curriculum: LearnedCurriculum, real: Split, config: MetaTrainingConfig, form: MetaGradientForm
) -> None:
    synthetic = curriculum(torch.Generator(), recompute=form != "graph").first(config.inner_steps)
    leaves = synthetic.detach_as_leaves()
    loss = outer_loss(learner(config, real), leaves, real, config, form=form).loss
    torch.autograd.backward(loss)
    synthetic.backward_from(leaves)


class Recorded:
    """One of our forms, recorded when it is first asked for and replayed from then on."""

    def __init__(self, form: MetaGradientForm) -> None:
        self._form, self._recordings = form, dict[MetaTrainingConfig, Recording]()

    def __call__(
        self, curriculum: LearnedCurriculum, real: Split, config: MetaTrainingConfig, _form: str
    ) -> None:
        network = learner(config, real)
        if config not in self._recordings:
            self._recordings = {config: Recording(curriculum, network, real, config, self._form)}
        recording = self._recordings[config]
        recording.replay(network, real)
        recording.add_gradient(1.0)


def plain(curriculum: LearnedCurriculum, real: Split, config: MetaTrainingConfig, _form: str) -> None:
    """Every operation of every step stays in one graph, generator included."""
    network = learner(config, real)
    synthetic = curriculum(torch.Generator()).first(config.inner_steps)
    parameters = {name: each.detach().requires_grad_() for name, each in network.named_parameters()}
    velocities = [torch.zeros_like(each) for each in parameters.values()]
    losses = []
    with batch_statistics(network):
        for t in range(len(synthetic)):
            logits = functional_call(network, parameters, synthetic.images[t])
            loss = F.cross_entropy(logits, synthetic.labels[t])
            gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
            rate, momentum = synthetic.learning_rates[t], synthetic.momenta[t]
            velocities = [momentum * v + g for v, g in zip(velocities, gradients, strict=True)]
            parameters = {
                name: each - rate * v for (name, each), v in zip(parameters.items(), velocities, strict=True)
            }
            if (t + 1) % config.outer_loss_every == 0 or t + 1 == len(synthetic):
                logits = functional_call(network, parameters, real.images)
                losses.append(F.cross_entropy(logits, real.labels))
    torch.autograd.backward(torch.stack(losses).mean())


def with_higher(curriculum: LearnedCurriculum, real: Split, config: MetaTrainingConfig, _form: str) -> None:
    """`higher`'s differentiable SGD, with this step's learning rate and momentum set before each step."""
    import higher

    network = learner(config, real)
    synthetic = curriculum(torch.Generator()).first(config.inner_steps)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
    losses = []
    with batch_statistics(network), higher.innerloop_ctx(network, optimizer) as (functional, differentiable):
        for t in range(len(synthetic)):
            loss = F.cross_entropy(functional(synthetic.images[t]), synthetic.labels[t])
            override = {"lr": [synthetic.learning_rates[t]], "momentum": [synthetic.momenta[t]]}
            differentiable.step(loss, override=override)
            if (t + 1) % config.outer_loss_every == 0 or t + 1 == len(synthetic):
                losses.append(F.cross_entropy(functional(real.images), real.labels))
        torch.autograd.backward(torch.stack(losses).mean())


def learner(config: MetaTrainingConfig, real: Split) -> torch.nn.Module:
    network = ConvNetSampler(config)(image_shape=IMAGE_SHAPE, num_classes=CLASSES, seed=0)
    return network.train().to(real.labels.device)


def state_bytes(config: MetaTrainingConfig) -> int:
    """Parameters and velocities of the learner, float32."""
    network = ConvNetSampler(config)(image_shape=IMAGE_SHAPE, num_classes=CLASSES, seed=0)
    return 2 * 4 * sum(parameter.numel() for parameter in network.parameters())


class Memory:
    """The peak of this process since now, beyond what it holds now."""

    def __init__(self, device: str) -> None:
        self.on_gpu = torch.device(device).type == "cuda"
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            with suppress(OSError, AttributeError):  # gives back what the first step left in the heap
                ctypes.CDLL("libc.so.6").malloc_trim(0)
            with suppress(OSError):  # forgets the peak of the imports, where the kernel lets us
                Path("/proc/self/clear_refs").write_text("5")
        self.base = torch.cuda.memory_allocated() if self.on_gpu else self._status("VmRSS")

    def peak(self) -> int:
        if self.on_gpu:
            return torch.cuda.max_memory_allocated() - self.base
        return self._status("VmHWM") - self.base

    def _status(self, name: str) -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return 1024 * int(line.split()[1])
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_of_tensors(step: Callable[[], None]) -> int:
    """The most bytes that PyTorch's CPU allocator has given out during the step and not taken back."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    assert profiled.profiler is not None
    recorded = profiled.profiler.kineto_results.events()  # a trace in JSON, the public way, would be huge
    changes = [(each.start_ns(), int(each.nbytes())) for each in recorded if each.name() == "[memory]"]
    return max(accumulate(size for _, size in sorted(changes, key=itemgetter(0))))


def clock(device: str) -> float:
    return time.perf_counter() if torch.device(device).type == "cuda" else time.process_time()


def synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def targets(
    cells: list[dict[str, Any]], config: MetaTrainingConfig, peak: str
) -> dict[str, dict[str, float]]:
    """The ratios that each form is held to, where their cells were measured."""
    found = {(cell["form"], cell["inner_steps"]): cell for cell in cells if "error" not in cell}
    forms = dict.fromkeys(cell["form"] for cell in cells if cell["form"] not in BASELINES)
    return {form: ratios for form in forms if (ratios := targets_of(form, found, config, peak))}


def targets_of(
    form: str, found: dict[tuple[str, int], dict[str, Any]], config: MetaTrainingConfig, peak: str
) -> dict[str, float]:
    ratios = {}
    if {(form, 64), ("plain", 64)} <= found.keys():
        ours, base = found[form, 64], found["plain", 64]
        ratios["memory_of_plain_at_64_over_ours"] = base[peak] / ours[peak]
        ratios["seconds_over_plain_at_64"] = ours["seconds"]["min"] / base["seconds"]["min"]
    if {(form, 16), (form, 128)} <= found.keys():
        long, short = found[form, 128][peak], found[form, 16][peak]
        state = state_bytes(config)
        ratios["memory_at_128_less_its_states_over_16"] = (long - 128 * state) / short
        ratios["memory_at_128_less_states_of_112_steps_over_16"] = (long - 112 * state) / short
    return ratios


def print_table(results: dict[str, Any]) -> None:
    unit = "seconds" if torch.device(results["device"]).type == "cuda" else "processor seconds"
    print(f"\none meta step on {results['device']}: {unit} (least of n) and peak memory")
    for measure, (heap, peak) in measures(results["cells"]).items():
        forms = dict.fromkeys(cell["form"] for cell in results["cells"])
        print(f"{measure:>13}  " + "  ".join(f"{form:>23}" for form in forms))
        cells = [cell for cell in results["cells"] if cell["heap"] == heap]
        for steps in sorted({cell["inner_steps"] for cell in cells}):
            shown = [
                "-" if "error" in cell else f"{cell['seconds']['min']:.2f} s {cell[peak] / 2**20:,.0f} MiB"
                for cell in cells
                if cell["inner_steps"] == steps
            ]
            print(f"{steps:>7} steps  " + "  ".join(f"{text:>23}" for text in shown))
        for form, ratios in results["targets"][measure].items():
            print(form, {name: round(ratio, 2) for name, ratio in ratios.items()})


if __name__ == "__main__":
    main()
