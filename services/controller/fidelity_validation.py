"""What can be said about a request for a fidelity report before any work."""

from pydantic import ValidationError

from gtn_core import UnknownNameError
from nas.fidelity_spec import validate_fidelity_spec
from services.controller.error_handlers import field_problems
from services.controller.problems import invalid, invalid_field
from services.controller.table_validation import check_table
from services.controller.validation import require_checkpoint
from services.schemas.fidelity import FidelityReportRequest
from services.settings import Settings
from services.store import Store


def check_fidelity_report(
    request: FidelityReportRequest, settings: Settings, store: Store
) -> FidelityReportRequest:
    """The request with its defaults filled in and its path made absolute. Answers 422 naming the field."""
    require_checkpoint(request.checkpoint_id, settings, store)
    try:
        spec = validate_fidelity_spec(request.spec)
    except UnknownNameError as error:
        field = "search_space" if error.kind == "search space" else "estimators"
        known = f"one of: {', '.join(error.known)}"
        raise invalid_field(f"{field}.name", str(error), error.name, known) from error
    except ValidationError as error:
        raise invalid(*field_problems(error.errors(include_url=False))) from error
    request = request.model_copy(update={"search_space": spec.search_space})
    if request.table is None:
        return request
    table = check_table(
        request.table,
        spec.search_space,
        settings,
        "table",
        number=request.candidates + request.labels,
        population=request.population,
        seed=request.seed,
    )
    return request.model_copy(update={"table": table})
