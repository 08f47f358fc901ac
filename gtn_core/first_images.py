"""What a curriculum looks like before meta-training: noise, or real images to start from.

A curriculum that starts near real images teaches from the first meta step on as real data would, and the
meta-gradient has only to improve on that.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from gtn_core.curriculum import LearnedCurriculum
from gtn_core.data import Split
from gtn_core.errors import DatasetError
from gtn_core.randomness import torch_generator

FIT_LEARNING_RATE = 0.01


def start_from_real_images(curriculum: LearnedCurriculum, train: Split, *, passes: int, seed: int) -> None:
    """Bring the curriculum's images near training images of their classes, no image twice while they last.

    Learned pixels become those images. A generator and its latents are fitted to them, `passes` times over
    the whole curriculum, by their mean squared difference (after Bojanowski et al., "Optimizing the Latent
    Space of Generative Networks", 2018): what few weights keep of real images, not the images themselves.
    """
    targets = _real_images(curriculum.labels, train, torch_generator(seed, "first images"))
    if curriculum.kind == "pixels":
        with torch.no_grad():
            curriculum.pixels.copy_(targets)
        return
    learned = [curriculum.latents, *curriculum.generator.parameters()]
    optimizer = torch.optim.Adam(learned, lr=FIT_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes * len(targets))
    order = torch_generator(seed, "order of fitting")
    for _ in range(passes):
        for step in torch.randperm(len(targets), generator=order).tolist():
            images = curriculum.generator(curriculum.latents[step], curriculum.labels[step])
            loss = F.mse_loss(images, targets[step])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()


def _real_images(labels: Tensor, train: Split, rng: torch.Generator) -> Tensor:
    """Training images [T, B, C, H, W] of the classes that `labels` [T, B, K] give."""
    classes = labels.argmax(dim=2)
    chosen = torch.zeros_like(classes)
    for label in range(labels.shape[2]):
        places, members = classes == label, (train.labels == label).nonzero().flatten()
        needed = int(places.sum())
        if not needed:
            continue
        if not len(members):
            raise DatasetError(
                f"class {label} has no training image to start from",
                remedy='add some, or set first_images to "noise"',
            )
        turns = [torch.randperm(len(members), generator=rng) for _ in range(-(-needed // len(members)))]
        chosen[places] = members[torch.cat(turns)[:needed].to(members.device)]
    return train.images[chosen]
