"""CPU time of scoring candidates with their channels last in memory and, as the baseline, first.

    python benchmarks/bench_memory_format.py
    python benchmarks/bench_memory_format.py --settings 1 --architectures 2 --repeats 1    # seconds

For each setting the same random architectures are scored both ways, in turns, on random images: only time is
measured, on one core, in processor seconds. A score takes brief training, then validation data.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from conditions import conditions, write_results
from rich.console import Console
from rich.table import Table
from torch import nn

from gtn_core.curriculum import SyntheticCurriculum
from gtn_core.data import Split
from gtn_core.evaluation import evaluate
from gtn_core.inner_loop import train_on_curriculum
from gtn_core.randomness import torch_generator
from nas import get_search_space
from nas.memory_format import channels_first, channels_last_if_it_runs

SEED = 0


@dataclass(frozen=True)
class Setting:
    """A search space and the data of its candidates."""

    space: str
    options: dict[str, int]
    image_shape: tuple[int, int, int]
    batch_size: int
    steps: int
    validation: int

    def __str__(self) -> str:
        channels, height, width = self.image_shape
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.space}{f' ({options})' if options else ''}, {channels}x{height}x{width}"


SMALL, PAPER = {"channels": 8, "cells_per_stage": 1}, {"channels": 16, "cells_per_stage": 5}
SETTINGS = (
    Setting("nasbench201", SMALL, (1, 8, 8), 32, 10, 1000),
    Setting("nasbench201", SMALL, (1, 28, 28), 64, 4, 1000),
    Setting("nasbench201", SMALL, (3, 16, 16), 64, 8, 2000),
    Setting("nasbench201", PAPER, (3, 32, 32), 64, 2, 256),
    Setting("nasnet_micro", {}, (1, 8, 8), 32, 4, 500),
    Setting("nasnet_micro", {}, (3, 32, 32), 64, 1, 256),
    Setting("resnet_macro", {}, (1, 8, 8), 32, 4, 500),
    Setting("resnet_macro", {}, (3, 32, 32), 64, 1, 256),
)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"benchmark": "memory_format", **conditions(), "seed": SEED}
    results |= {"repeats": options.repeats, "settings": []}
    for setting in SETTINGS[: options.settings]:
        measured = measure(setting, options.architectures, options.repeats)
        results["settings"].append({"setting": str(setting), **measured})
    print_table(results)
    print(write_results("bench_memory_format", results))


def measure(setting: Setting, architectures: int, repeats: int) -> dict[str, Any]:
    """Seconds a candidate both ways, training and evaluation apart, and the ratios of each architecture."""
    space = get_search_space(setting.space, **setting.options)
    chance, generator = np.random.default_rng(SEED), torch_generator(SEED, "images")
    curriculum, validation = random_curriculum(setting, generator), random_split(setting, generator)
    ways: dict[str, Callable[[nn.Module], nn.Module]] = {
        "first": channels_first,
        "last": lambda network: channels_last_if_it_runs(network, setting.image_shape),
    }
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(architectures):
        architecture = space.sample(chance)
        tries: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, laid_out in ways.items():
                network = space.build(
                    architecture, image_shape=setting.image_shape, num_classes=10, seed=SEED
                )
                tries[way].append(score(laid_out, network, curriculum, validation))
        for way, times in tries.items():
            training, evaluation = zip(*times, strict=True)
            seconds[way].append((median(training), median(evaluation)))
    pairs = list(zip(seconds["first"], seconds["last"], strict=True))
    ratios = [[last[part] / first[part] for first, last in pairs] for part in (0, 1)]
    return {
        **{way: [fmean(part) for part in zip(*seconds[way], strict=True)] for way in ways},
        **{
            name: {"mean": fmean(values), "standard_deviation": stdev(values), "n": len(values)}
            for name, values in zip(("training", "evaluation"), ratios, strict=True)
        },
    }


def score(
    laid_out: Callable[[nn.Module], nn.Module],
    network: nn.Module,
    curriculum: SyntheticCurriculum,
    validation: Split,
) -> tuple[float, float]:
    """Processor seconds of training, with what the layout costs, and of evaluation."""
    start = time.process_time()
    train_on_curriculum(laid_out(network), curriculum)
    trained = time.process_time()
    evaluate(network, validation, batch_statistics=True)
    return trained - start, time.process_time() - trained


def random_curriculum(setting: Setting, generator: torch.Generator) -> SyntheticCurriculum:
    shape = (setting.steps, setting.batch_size)
    labels = torch.randint(10, shape, generator=generator)
    return SyntheticCurriculum(
        images=torch.randn(*shape, *setting.image_shape, generator=generator),
        labels=F.one_hot(labels, 10).float(),
        learning_rates=torch.full((setting.steps,), 0.02),
        momenta=torch.full((setting.steps,), 0.5),
    )


def random_split(setting: Setting, generator: torch.Generator) -> Split:
    images = torch.randn(setting.validation, *setting.image_shape, generator=generator)
    return Split(images, torch.randint(10, (setting.validation,), generator=generator))


def print_table(results: dict[str, Any]) -> None:
    table = Table(title="processor seconds with channels first and last; the ratio, mean ± s.d.")
    for heading in ("setting", "training", "", "evaluation", ""):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    for each in results["settings"]:
        cells = []
        for part, name in enumerate(("training", "evaluation")):
            ratio = each[name]
            cells += [
                f"{each['first'][part]:.3f}, {each['last'][part]:.3f}",
                f"{ratio['mean']:.2f} ± {ratio['standard_deviation']:.2f}",
            ]
        table.add_row(each["setting"], *cells)
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="measure the first so many")
    parser.add_argument("--architectures", type=int, default=6, help="of each setting; at least 2")
    parser.add_argument("--repeats", type=int, default=3, help="of each architecture, both ways")
    options = parser.parse_args()
    if options.architectures < 2:
        parser.error(f"--architectures {options.architectures} have no spread: take at least 2")
    return options


if __name__ == "__main__":
    main()
