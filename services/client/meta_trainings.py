"""Calls on meta-trainings and on the frozen checkpoints they give."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from services.client.calls import call, listing
from services.client.connection import Connection, path_of
from services.client.network import Request
from services.given import given
from services.lifecycle import JobState
from services.schemas import CheckpointView, MetaTrainingView


class MetaTrainingCalls(Connection):
    """Meta-trainings."""

    @call
    async def create_meta_training(
        self,
        dataset: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        name: str | None = None,
        learner_space: Mapping[str, Any] | None = None,
        learner_space_fraction: float | None = None,
        calibration_set: Mapping[str, Any] | None = None,
        learning_curves: bool | None = None,
        resources: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> MetaTrainingView:
        """Submit a meta-training run, for instance on `{"name": "digits"}`."""
        body = {
            "dataset": dataset,
            "config": config,
            "seed": seed,
            "name": name,
            "learner_space": learner_space,
            "learner_space_fraction": learner_space_fraction,
            "calibration_set": calibration_set,
            "learning_curves": learning_curves,
            "resources": resources,
            "priority": priority,
        }
        return await self._create("/v1/meta-trainings", MetaTrainingView, given(**body))

    @call
    async def get_meta_training(self, meta_training_id: str) -> MetaTrainingView:
        """One meta-training run."""
        return await self._get(path_of("meta-trainings", meta_training_id), MetaTrainingView)

    @listing
    def list_meta_trainings(
        self, *, state: JobState | None = None, name: str | None = None, limit: int | None = None
    ) -> AsyncGenerator[MetaTrainingView]:
        """Meta-training runs, newest first."""
        return self._pages("/v1/meta-trainings", MetaTrainingView, {"state": state, "name": name}, limit)


class CheckpointCalls(Connection):
    """Frozen checkpoints."""

    @call
    async def create_checkpoint(self, source: bytes | Path, *, name: str | None = None) -> CheckpointView:
        """Upload a checkpoint file; one that is there already keeps the name that it has."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        return await self._create("/v1/checkpoints", CheckpointView, data, given(name=name))

    @call
    async def get_checkpoint(self, checkpoint_id: str) -> CheckpointView:
        """One checkpoint's manifest."""
        return await self._get(path_of("checkpoints", checkpoint_id), CheckpointView)

    @call
    async def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete a checkpoint that no search and no fidelity report is about."""
        await self._send(Request("DELETE", path_of("checkpoints", checkpoint_id)))

    @listing
    def list_checkpoints(self, *, limit: int | None = None) -> AsyncGenerator[CheckpointView]:
        """Checkpoints, newest first."""
        return self._pages("/v1/checkpoints", CheckpointView, limit=limit)

    @call
    async def download_checkpoint(self, checkpoint_id: str) -> bytes:
        """The checkpoint file."""
        return await self._get_bytes(path_of("checkpoints", checkpoint_id, "download"))

    @call
    async def curves(self, checkpoint_id: str) -> bytes:
        """A PNG picture of how fast it teaches: accuracy, learning rate and momentum by inner step."""
        return await self._get_bytes(path_of("checkpoints", checkpoint_id, "curves.png"))

    @call
    async def samples(self, checkpoint_id: str) -> bytes:
        """A PNG picture of the synthetic data: one row per inner step, one column per class."""
        return await self._get_bytes(path_of("checkpoints", checkpoint_id, "samples.png"))
