"""What endpoints are given. Found in memory, and therefore on the event loop instead of in a thread."""

from typing import Annotated

from fastapi import Depends, Request

from services.artifacts import ArtifactStore
from services.controller.pictures import CheckpointPictures
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


async def _pictures(request: Request) -> CheckpointPictures:
    pictures: CheckpointPictures = request.app.state.pictures
    return pictures


SettingsDep = Annotated[Settings, Depends(_settings)]
StoreDep = Annotated[Store, Depends(_store)]
ArtifactsDep = Annotated[ArtifactStore, Depends(_artifacts)]
PicturesDep = Annotated[CheckpointPictures, Depends(_pictures)]
