"""What users send to change a job that exists, of whatever kind."""

from pydantic import ConfigDict

from gtn_core.strict_model import StrictModel
from services.schemas.requests import JobName, Priority


class JobEdit(StrictModel):
    """The body of `PATCH` of a job: what is to be otherwise; what is left out or null stays as it is."""

    model_config = ConfigDict(
        allow_inf_nan=False, json_schema_extra={"examples": [{"name": "the baseline", "priority": 10}]}
    )

    name: JobName | None = None
    priority: Priority | None = None
