"""A typed client of the controller's HTTP API.

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

from services.client.candidates import CandidateCalls, ExportFormat
from services.client.errors import ApiError, ControllerUnreachableError
from services.client.jobs import Job, JobCalls
from services.client.meta_trainings import CheckpointCalls, MetaTrainingCalls
from services.client.searches import SearchCalls
from services.client.system import SystemCalls

__all__ = ["ApiError", "Client", "ControllerUnreachableError", "ExportFormat", "Job"]


class Client(MetaTrainingCalls, CheckpointCalls, SearchCalls, CandidateCalls, JobCalls, SystemCalls):
    """Everything the API offers, as methods that take and return plain values and models."""
