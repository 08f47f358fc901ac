"""Typed clients of the controller's HTTP API: `Client` blocks, `AsyncClient` is awaited.

    from services.client import Client

    with Client("http://127.0.0.1:8000") as client:
        search = client.create_search(
            checkpoint_id=checkpoint_id, search_space={"name": "nasbench201"}, max_candidates=40
        )
        client.wait(search.id)
        for candidate in client.candidates(search.id, order_by="-accuracy"):
            print(candidate.rank, candidate.metrics.accuracy, candidate.architecture.encoding)

Calls raise ApiError when the controller refuses them and ControllerUnreachableError when none answers.
"""

from services.client.clients import AsyncClient, Client
from services.client.errors import (
    ApiError,
    ControllerSilentError,
    ControllerUnreachableError,
    InvalidApiKeyError,
)
from services.client.jobs import Job
from services.export_formats import ExportFormat

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ControllerSilentError",
    "ControllerUnreachableError",
    "ExportFormat",
    "InvalidApiKeyError",
    "Job",
]
