"""A search on Ray Tune: the engine for everything larger than a test. Nothing else in `nas` imports Ray."""

from nas.tune_engine.engine import TuneEngine
from nas.tune_engine.hooks import WorkerSetupError
from nas.tune_engine.slots import NoRoomError, RoomWatch

__all__ = ["NoRoomError", "RoomWatch", "TuneEngine", "WorkerSetupError"]
