"""Everything that meta-training can be told, with its bounds: the only place with defaults."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from gtn_core.strict_model import StrictModel

CurriculumKind = Literal["full", "shuffled_batches", "all_shuffled", "none", "pixels"]
FirstImages = Literal["noise", "real"]
LabelKind = Literal["fixed", "soft"]
InnerOptimizerName = Literal["sgd", "adam"]
LearnerKind = Literal["pooled", "strided"]
LearnerNormalization = Literal["batch", "mean_only", "either"]
AugmentPolicy = Literal["none", "crop", "crop_flip"]
Precision = Literal["float32", "tf32", "bf16"]
RankingLoss = Literal["pairwise", "soft_rank"]
MetaGradientForm = Literal["graph", "recompute", "hessian_vector"]

ACCEPTED: Final = {"accepted": True}
"""Validation context of what an earlier version took and ran: rules that came later do not undo it."""

_Width = Annotated[int, Field(ge=1, le=8192)]
_Factor = Annotated[float, Field(gt=0, le=64)]
_Depth = Annotated[int, Field(ge=1, le=16)]
_Decay = Annotated[float, Field(ge=0, lt=1)]


class MetaTrainingConfig(StrictModel):
    """How a generator is meta-trained. The defaults suit 8x8 digits on two CPU cores in about a minute."""

    # The curriculum: what a learner is trained on.
    curriculum: CurriculumKind = Field(
        "full",
        description="full: learned latents in a fixed order; shuffled_batches: the batches in random order; "
        "all_shuffled: the samples shuffled over all batches; none: fresh noise at every step; pixels: "
        "learned images in a fixed order and no generator, as in data set distillation",
    )
    labels: LabelKind = Field(
        "fixed", description="fixed: balanced classes; soft: learned distributions that start near those"
    )
    first_images: FirstImages = Field(
        "noise",
        description="noise: what random weights make; real: training images, which learned pixels start as "
        "and a generator is first fitted to",
    )
    fit_passes: int = Field(
        30, ge=1, le=10_000, description="passes over the curriculum that fit a generator to real images"
    )
    inner_steps: int = Field(10, ge=1, le=1024, description="T, the steps that a learner takes")
    batch_size: int = Field(32, ge=2, le=4096, description="B, synthetic images per inner step")

    # The generator.
    latent_size: int = Field(64, ge=1, le=4096, description="Z, the length of a latent")
    latent_scale: float = Field(
        0.3,
        gt=0,
        le=10,
        description="deviation of the first latents; below 1 the class has more say than they",
    )
    generator_hidden: _Width = Field(256, description="units of the first linear layer")
    generator_channels: tuple[_Width, _Width] = Field(
        (32, 16), description="channels at a quarter and at half of the image's size"
    )
    generator_weight_normalization: bool = Field(
        True, description="weights of the generator as length and direction"
    )

    # The inner optimizer, learned in log space from these initial values.
    inner_optimizer: InnerOptimizerName = Field("sgd", description="the optimizer of a learner")
    initial_learning_rate: float = Field(0.3, gt=0, le=10, description="of every inner step")
    initial_momentum: float = Field(0.5, gt=0, lt=1, description="of every inner step; Adam's first beta")

    learned_schedule: bool = Field(
        True, description="whether learning rates and momenta are learned, or stay at their initial values"
    )

    # The learners of meta-training, freshly initialised at every meta step.
    learner: LearnerKind = Field(
        "pooled", description="pooled: max pooling and a hidden layer; strided: no pooling, no hidden layer"
    )
    learner_channels: tuple[_Width, ...] = Field(
        (16, 32),
        min_length=1,
        max_length=16,
        fail_fast=True,
        description="channels of each 3x3 convolution",
    )
    learner_hidden: _Width = Field(64, description="hidden units of a pooled learner")
    learner_pool_size: Literal[2, 3] = Field(
        2, description="height and width of a pooled learner's max pooling, whose stride is 2"
    )
    learner_pools_first: bool = Field(
        False, description="whether a pooled learner pools before it normalises and activates, or after"
    )
    learner_normalization: LearnerNormalization = Field(
        "batch",
        description="batch: mean and deviation of the batch; mean_only: its mean alone; either: drawn for "
        "each learner",
    )
    learner_weight_normalization: bool = Field(
        True, description="weights of the learners as length and direction"
    )
    learner_width_range: tuple[_Factor, _Factor] = Field(
        (1.0, 1.0), description="learners are drawn this many times as wide, evenly in log scale"
    )
    learner_depth_range: tuple[_Depth, _Depth] | None = Field(
        None,
        description="convolutions of a learner, drawn between these; further ones repeat the last width; "
        "none: those of learner_channels",
    )
    learners_per_meta_step: int = Field(
        1, ge=1, le=256, description="learners whose meta-gradients are averaged"
    )

    # Real batches after the synthetic ones, as `gtn_then_real` trains candidates.
    real_steps: int = Field(
        0,
        ge=0,
        le=1024,
        description="inner steps on real batches that follow the curriculum before the last outer loss",
    )
    real_learning_rate: float = Field(0.1, gt=0, le=10, description="of every real inner step")
    real_momentum: float = Field(0.5, ge=0, lt=1, description="of every real inner step; Adam's first beta")

    # Teaching for ranking: learners of architectures whose order is known should end in that order.
    ranking_weight: float = Field(
        0.0, ge=0, le=1000, description="weight of the ranking loss beside the outer loss; 0: none"
    )
    ranking_learners: int = Field(
        6, ge=2, le=256, description="learners of the reference that are compared in a meta step"
    )
    ranking_loss: RankingLoss = Field(
        "pairwise",
        description="pairwise: logistic loss of every pair that is known to differ (Burges et al., RankNet); "
        "soft_rank: 1 minus the correlation of smoothed ranks with the true ones",
    )
    ranking_temperature: float = Field(
        0.1, gt=0, le=100, description="difference of losses, in nats, that counts as a clear order"
    )

    # Matching trajectories: a learner should end where real batches would have led it.
    trajectory_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight beside the outer loss of a learner's squared distance, after its last step, from "
        "an expert: the same learner trained on real batches (Cazenavette et al.); 0: none",
    )
    trajectory_steps: int = Field(
        20,
        ge=1,
        le=1024,
        description="real inner steps of an expert, with real_learning_rate and real_momentum; of a learner "
        "that stops early the same share of them",
    )

    # The outer loop.
    meta_steps: int = Field(500, ge=1, le=1_000_000, description="updates of generator and curriculum")
    outer_batch_size: int = Field(256, ge=2, le=65_536, description="real images per outer loss")
    outer_learning_rate: float = Field(0.005, gt=0, le=1, description="of Adam, at its peak")
    outer_betas: tuple[_Decay, _Decay] = Field((0.5, 0.95), description="Adam's decay rates")
    outer_epsilon: float = Field(1e-8, gt=0, le=1, description="added to Adam's denominator")
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1, description="where the cosine decay ends")
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of the running mean over meta steps of all that is learned (Polyak and Juditsky, 1992), "
        "which is what is validated and frozen; 0: what the last meta step left",
    )
    outer_loss_every: int = Field(5, ge=1, le=1024, description="inner steps between outer losses")
    intermediate_loss_weight: float = Field(
        1.0, ge=0, le=1, description="weight of the outer losses before the last, whose weight is 1"
    )
    warmup_meta_steps: int = Field(
        0, ge=0, le=1_000_000, description="meta steps over which unrolls grow from short ones to all T steps"
    )
    window: int = Field(
        0,
        ge=0,
        le=1024,
        description="inner steps of a randomly placed window that the meta-gradient goes back through "
        "(Feng et al., RaT-BPTT); 0: all",
    )
    augment: AugmentPolicy = Field("none", description="random changes of the real images of an outer loss")
    gradient_clipping: bool = Field(True, description="whether meta-gradients are clipped at all")
    clip_factor: float = Field(
        3.0, gt=0, le=1e6, description="a meta-gradient is clipped at this multiple of the running norm"
    )

    # Where time and memory go.
    meta_gradient: Literal["auto", MetaGradientForm] = Field(
        "auto",
        description="graph: keep every inner step's graph; recompute: build it again going backward; "
        "hessian_vector: go back by Hessian-vector products; auto: graph while that takes little memory",
    )
    recompute_block: int = Field(
        0, ge=0, le=1024, description="inner steps that are recomputed together; 0: one, where any are"
    )
    precision: Precision = Field(
        "float32",
        description="tf32: products of matrices and convolutions in TensorFloat-32, on a CUDA device; bf16: "
        "learners computed in bfloat16 where that is safe, their weights kept in float32",
    )
    cuda_graphs: bool = Field(
        False,
        description="record a meta step once and replay it, where kernels take longer to launch than to run: "
        "on a CUDA device, for learners of one shape and full unrolls with outer losses alone; elsewhere "
        "nothing is recorded",
    )
    validate_every: int = Field(
        100, ge=0, le=1_000_000, description="meta steps between validations; 0: only at the end"
    )
    save_every: int = Field(
        50, ge=1, le=1_000_000, description="meta steps between saves of the resumable state"
    )

    @model_validator(mode="after")
    def _parts_agree(self, info: ValidationInfo) -> Self:
        for name in ("learner_width_range", "learner_depth_range"):
            found = getattr(self, name)
            if found is not None and found[0] > found[1]:
                raise ValueError(f"{name} {list(found)} ends before it starts; give the smaller one first")
        if self.first_images == "real" and self.curriculum == "none":
            raise ValueError(
                "first_images 'real' needs something that is learned for each image, which curriculum 'none' "
                "has not; choose another curriculum, or first_images 'noise'"
            )
        if self.warmup_meta_steps > self.meta_steps and info.context != ACCEPTED:
            raise ValueError(
                f"warmup_meta_steps ({self.warmup_meta_steps}) is more than meta_steps ({self.meta_steps}), "
                "which leaves the last inner steps untrained; lower it, or raise meta_steps"
            )
        if self.window > self.inner_steps:
            raise ValueError(
                f"window ({self.window}) is longer than inner_steps ({self.inner_steps}); lower it"
            )
        return self
