"""A search on Ray Tune: the engine for everything larger than a test."""

from nas.tune_engine.engine import TuneEngine

__all__ = ["TuneEngine"]
