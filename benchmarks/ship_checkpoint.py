"""Make a frozen checkpoint that comes with the package: small, with measured learning curves in its manifest.

    python benchmarks/ship_checkpoint.py digits --dataset digits
    python benchmarks/ship_checkpoint.py cifar10 --dataset cifar10@16:PATH --checkpoint FILE

Without --checkpoint it meta-trains with the default configuration first. Weights are kept in half precision;
the curves are validation accuracies of fresh convnets on what is then in the file, on real data at the best
learning rate and momentum of a grid, and on noise with the checkpoint's own labels and schedule.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from bench_learning_speed import learning_curve, real_curriculum, tuned_real_data

import gtn_core.presets
from gtn_core import ConvNetSampler, FrozenCheckpoint, MetaTrainingConfig, load_dataset, meta_train
from gtn_core.checkpoint import repack
from gtn_core.randomness import torch_generator

LEARNERS = 10
MAX_BYTES = 8 * 2**20


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    splits = load_dataset(arguments.dataset, seed=0)
    if arguments.checkpoint:
        trained = FrozenCheckpoint.load(arguments.checkpoint)
        trained.require_fit(splits)
    else:
        trained = meta_train(splits, MetaTrainingConfig(), seed=0)
    small = repack(trained, storage="float16")

    config = small.manifest.config
    sampler, curriculum = ConvNetSampler(config), small.synthesize()
    rate, momentum, _ = tuned_real_data(splits, config, sampler)
    pixels = torch.randn(curriculum.images.shape, generator=torch_generator(0, "noise images"))
    sources = {
        "gtn": lambda _index: curriculum,
        "real": lambda index: real_curriculum(splits, config, rate, momentum, "shipped", index),
        "noise": lambda _index: replace(curriculum, images=pixels),
    }
    curves = {}
    for name, source in sources.items():
        runs = [learning_curve(splits.validation, sampler, source(i), "shipped", i) for i in range(LEARNERS)]
        curves[name] = tuple(round(mean(step), 4) for step in zip(*runs, strict=True))
        print(name, *(f"{accuracy:.1%}" for accuracy in curves[name]))

    shipped = repack(small, storage="float16", learning_curves=curves)
    size = len(shipped.to_bytes())
    if size > MAX_BYTES:
        raise SystemExit(
            f"{size} bytes; a shipped checkpoint has at most {MAX_BYTES}: make the generator smaller"
        )
    path = Path(gtn_core.presets.__file__).with_name(f"{arguments.name}.gtn")
    shipped.save(path)
    print(f"{path.name}: {size:,} bytes, id {shipped.id}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="of the file")
    parser.add_argument("--dataset", default="digits", help="digits, mnist:PATH, cifar10@16:PATH, ...")
    parser.add_argument("--checkpoint", help="a checkpoint file that was meta-trained on this data set")
    return parser.parse_args()


if __name__ == "__main__":
    main()
