"""A search on plain Ray actors: for searches of more candidates, or faster ones, than Ray Tune carries."""

from nas.actor_engine.engine import ActorEngine

__all__ = ["ActorEngine"]
