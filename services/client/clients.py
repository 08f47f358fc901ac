"""The two clients: every call of the API, over a network that blocks or one that is awaited."""

from typing import Self

from services.client.calls import Awaited, Blocking
from services.client.candidates import CandidateCalls
from services.client.fidelity_reports import FidelityReportCalls
from services.client.jobs import JobCalls
from services.client.meta_trainings import CheckpointCalls, MetaTrainingCalls
from services.client.network import AsyncNetwork, BlockingNetwork
from services.client.searches import SearchCalls
from services.client.system import SystemCalls


class Calls(
    MetaTrainingCalls,
    CheckpointCalls,
    SearchCalls,
    CandidateCalls,
    FidelityReportCalls,
    JobCalls,
    SystemCalls,
):
    """Everything the API offers."""


class Client(Calls, Blocking):
    """Everything the API offers, as methods that take and return plain values and models."""

    network = BlockingNetwork

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(Calls, Awaited):
    """The same methods on asyncio: awaited, or iterated with `async for`."""

    network = AsyncNetwork

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
