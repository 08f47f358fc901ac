"""What the engines on a Ray cluster share: the running search, its room, and the evaluating process."""

from nas.cluster.evaluator import WorkerSetupError
from nas.cluster.waiting import NoRoomError, RoomWatch

__all__ = ["NoRoomError", "RoomWatch", "WorkerSetupError"]
