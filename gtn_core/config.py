"""Everything that meta-training can be told, with its bounds: the only place with defaults."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

CurriculumKind = Literal["full", "shuffled_batches", "all_shuffled", "none"]
InnerOptimizerName = Literal["sgd", "adam"]
LearnerKind = Literal["pooled", "strided"]
LearnerNormalization = Literal["batch", "mean_only"]
MetaGradientForm = Literal["graph", "recompute", "hessian_vector"]

_Width = Annotated[int, Field(ge=1, le=8192)]
_Decay = Annotated[float, Field(ge=0, lt=1)]


class MetaTrainingConfig(BaseModel):
    """How a generator is meta-trained. The defaults suit 8x8 digits on two CPU cores in about a minute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The curriculum: what a learner is trained on.
    curriculum: CurriculumKind = Field(
        "full",
        description="full: learned latents in a fixed order; shuffled_batches: the batches in random order; "
        "all_shuffled: the samples shuffled over all batches; none: fresh noise at every step",
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

    # The inner optimizer, learned in log space from these initial values.
    inner_optimizer: InnerOptimizerName = Field("sgd", description="the optimizer of a learner")
    initial_learning_rate: float = Field(0.3, gt=0, le=10, description="of every inner step")
    initial_momentum: float = Field(0.5, gt=0, lt=1, description="of every inner step; Adam's first beta")

    # The learners of meta-training, freshly initialised at every meta step.
    learner: LearnerKind = Field(
        "pooled", description="pooled: max pooling and a hidden layer; strided: no pooling, no hidden layer"
    )
    learner_channels: tuple[_Width, ...] = Field(
        (16, 32), min_length=1, max_length=16, description="channels of each 3x3 convolution"
    )
    learner_hidden: _Width = Field(64, description="hidden units of a pooled learner")
    learner_normalization: LearnerNormalization = Field(
        "batch", description="batch: mean and deviation of the batch; mean_only: its mean alone"
    )
    learners_per_meta_step: int = Field(
        1, ge=1, le=256, description="learners whose meta-gradients are averaged"
    )

    # The outer loop.
    meta_steps: int = Field(500, ge=1, le=1_000_000, description="updates of generator and curriculum")
    outer_batch_size: int = Field(256, ge=2, le=65_536, description="real images per outer loss")
    outer_learning_rate: float = Field(0.005, gt=0, le=1, description="of Adam, at its peak")
    outer_betas: tuple[_Decay, _Decay] = Field((0.5, 0.95), description="Adam's decay rates")
    outer_epsilon: float = Field(1e-8, gt=0, le=1, description="added to Adam's denominator")
    final_learning_rate_fraction: float = Field(0.1, ge=0, le=1, description="where the cosine decay ends")
    outer_loss_every: int = Field(5, ge=1, le=1024, description="inner steps between outer losses")
    intermediate_loss_weight: float = Field(
        1.0, ge=0, le=1, description="weight of the outer losses before the last, whose weight is 1"
    )
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
    validate_every: int = Field(
        100, ge=0, le=1_000_000, description="meta steps between validations; 0: only at the end"
    )
    save_every: int = Field(
        50, ge=1, le=1_000_000, description="meta steps between saves of the resumable state"
    )
