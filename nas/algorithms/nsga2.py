"""NSGA-II (Deb et al., IEEE Transactions on Evolutionary Computation 6(2), 2002), as Optuna has it.

Parents are chosen as in the paper; between two of the same front its tournament then draws, where the paper's
prefers the less crowded one.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gtn_core.strict_model import StrictModel
from nas.algorithms.optuna_search import OptunaSearch
from nas.architecture import Architecture
from nas.search_spaces.base import SearchSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study


class NSGA2Config(StrictModel):
    """Options of Optuna's NSGAIISampler."""

    population_size: int = Field(20, ge=2, le=100_000, description="Architectures of a generation.")
    mutation_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Odds that a choice is drawn anew; null: 1 / choices.",
    )
    crossover_probability: float = Field(0.9, ge=0, le=1, description="Odds that a child has two parents.")


class NSGA2(OptunaSearch):
    """Evolves the Pareto front over all objectives of the search; a generation is counted by completion."""

    name = "nsga2"
    description = "NSGA-II: evolves the Pareto front over all objectives of the search (Optuna)."
    Config = NSGA2Config
    multi_objective = True

    def __init__(self, space: SearchSpace, config: NSGA2Config) -> None:
        super().__init__(space)
        self.config = config
        self._generation = 0  # the last whose parents are chosen

    def sampler(self, seed: int) -> "BaseSampler":
        """Optuna's NSGAIISampler."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(
            population_size=self.config.population_size,
            mutation_prob=self.config.mutation_probability,
            crossover_prob=self.config.crossover_probability,
            seed=seed,
        )

    def told_attributes(self, number: int) -> dict[str, Any]:
        """The generation, under the sampler's own key."""
        from optuna.samplers import NSGAIISampler

        return {NSGAIISampler._GENERATION_KEY: number // self.config.population_size}

    def told_choices(self, architecture: Architecture) -> dict[str, str]:
        """All genes, also of parts that the architecture does not have.

        The sampler inherits only what all trials have: one architecture without a stage, and nothing in that
        stage would ever be inherited again. A gene without effect is drawn from the architecture's hash, so
        that a replay draws the same.
        """
        made = self.space.choices(architecture)
        canonical_hash = self.space.canonical_hash(architecture)
        return {
            name: made[name] if name in made else _drawn(f"{canonical_hash} {name}", options)
            for name, options in self.space.domains.items()
        }

    def prepare(self, study: "Study", told: int) -> None:
        """Choose the parents of one generation after the other, as a search does that was never interrupted.

        Those that it just chose the sampler has in another order than those that it recalls, and among equals
        the order decides: who is a parent of the next generation, and who of this one becomes one.
        """
        from optuna.samplers import NSGAIISampler

        if isinstance(study.sampler, NSGAIISampler):
            while self._generation < told // self.config.population_size:
                self._generation += 1
                study.sampler.get_parent_population(study, self._generation)


def _drawn(text: str, options: Sequence[str]) -> str:
    return options[int.from_bytes(sha256(text.encode()).digest()[:4], "big") % len(options)]
