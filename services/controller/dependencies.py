"""What endpoints are given. Found in memory, and therefore on the event loop instead of in a thread."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from services.artifacts import ArtifactStore
from services.settings import Settings
from services.store import Store


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _artifacts(request: Request) -> ArtifactStore:
    artifacts: ArtifactStore = request.app.state.artifacts
    return artifacts


async def _samples(request: Request) -> Callable[[str], bytes]:
    samples: Callable[[str], bytes] = request.app.state.samples
    return samples


SettingsDep = Annotated[Settings, Depends(_settings)]
StoreDep = Annotated[Store, Depends(_store)]
ArtifactsDep = Annotated[ArtifactStore, Depends(_artifacts)]
SamplesDep = Annotated[Callable[[str], bytes], Depends(_samples)]
"""Checkpoint id to the picture of its synthetic data; the latest pictures are kept."""
