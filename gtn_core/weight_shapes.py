"""Names and shapes of a learned curriculum's weights, told without PyTorch.

A process that only keeps checkpoints, such as a controller, checks them by this; a test holds the list to the
state dict of `LearnedCurriculum`.
"""

from gtn_core.config import MetaTrainingConfig

Shapes = dict[str, tuple[int, ...]]

LENGTH, DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
"""How the names end of a weight-normalised layer's weights: both have a row for each output."""


def weight_shapes(config: MetaTrainingConfig, image_shape: tuple[int, int, int], num_classes: int) -> Shapes:
    """The state dict's shapes by name, for a curriculum of this configuration."""
    batches = (config.inner_steps, config.batch_size)
    shapes: Shapes = {
        "labels": (*batches, num_classes),
        "schedule.log_learning_rates": (config.inner_steps,),
        "schedule.momentum_logits": (config.inner_steps,),
    }
    if config.labels == "soft":
        shapes["label_logits"] = (*batches, num_classes)
    if config.curriculum == "pixels":
        return shapes | {"pixels": (*batches, *image_shape)}
    if config.curriculum != "none":
        shapes["latents"] = (*batches, config.latent_size)
    return shapes | _generator(config, image_shape, num_classes)


def _generator(config: MetaTrainingConfig, image_shape: tuple[int, int, int], num_classes: int) -> Shapes:
    channels, height, width = image_shape
    coarse, fine = config.generator_channels
    units = coarse * -(-height // 4) * -(-width // 4)
    hidden = config.generator_hidden
    shapes: Shapes = {}
    for name, weight in {
        "linears.0": (hidden, config.latent_size + num_classes),
        "linears.3": (units, hidden),
        "convolutions.1": (fine, coarse, 3, 3),
        "convolutions.5": (channels, fine, 3, 3),
    }.items():
        shapes[f"generator.{name}.bias"] = weight[:1]
        if config.generator_weight_normalization:  # length and direction
            shapes[f"generator.{name}{LENGTH}"] = (weight[0], *[1] * (len(weight) - 1))
            shapes[f"generator.{name}{DIRECTION}"] = weight
        else:
            shapes[f"generator.{name}.weight"] = weight
    for name, count in {"linears.1": hidden, "linears.4": units, "convolutions.2": fine}.items():
        shapes[f"generator.{name}.weight"] = shapes[f"generator.{name}.bias"] = (count,)
    return shapes
