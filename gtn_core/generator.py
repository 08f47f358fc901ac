"""The conditional generator: (latents [B, Z], labels [B, K]) -> images [B, C, H, W]."""

import torch
from torch import Tensor, nn

from gtn_core.layers import LEAK, LayerT, initialised


class Generator(nn.Module):
    """Two linear layers, then two nearest-neighbour upsamplings, each followed by a 3x3 convolution.

    Batch normalisation uses the statistics of the batch at hand, in training and when frozen: a learner then
    meets the very images that were optimised for it, and no running mean has to describe a curriculum whose
    batches are meant to differ. A batch of the curriculum is therefore always generated whole.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        latent_size: int,
        hidden: int,
        channels: tuple[int, int],
        weight_normalization: bool,
    ) -> None:
        super().__init__()
        image_channels, height, width = image_shape
        coarse, fine = channels
        self.image_size = (height, width)
        # Sizes that four does not divide are generated a little larger and cropped.
        self.coarse_shape = (coarse, -(-height // 4), -(-width // 4))
        coarse_units = coarse * self.coarse_shape[1] * self.coarse_shape[2]

        def layer(each: LayerT) -> LayerT:
            return initialised(each, weight_normalization=weight_normalization)

        self.linears = nn.Sequential(
            layer(nn.Linear(latent_size + num_classes, hidden)),
            nn.BatchNorm1d(hidden, track_running_stats=False),
            nn.LeakyReLU(LEAK),
            layer(nn.Linear(hidden, coarse_units)),
            nn.BatchNorm1d(coarse_units, track_running_stats=False),
            nn.LeakyReLU(LEAK),
        )
        self.convolutions = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            layer(nn.Conv2d(coarse, fine, 3, padding=1, padding_mode="reflect")),
            nn.BatchNorm2d(fine, track_running_stats=False),
            nn.LeakyReLU(LEAK),
            nn.Upsample(scale_factor=2, mode="nearest"),
            layer(nn.Conv2d(fine, image_channels, 3, padding=1, padding_mode="reflect")),
        )

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images in (-2, 2): the range of most normalised pixels."""
        features = self.linears(torch.cat([latents, labels], dim=1)).unflatten(1, self.coarse_shape)
        height, width = self.image_size
        return 2 * torch.tanh(self.convolutions(features)[..., :height, :width])
