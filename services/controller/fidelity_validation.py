"""What can be said about a request for a fidelity report before any work."""

from nas.fidelity_spec import validate_fidelity_spec
from services.controller.table_validation import check_table
from services.controller.validation import named, require_checkpoint
from services.schemas.fidelity import FidelityReportRequest
from services.settings import Settings
from services.store import Store


def check_fidelity_report(
    request: FidelityReportRequest, settings: Settings, store: Store
) -> FidelityReportRequest:
    """The request with its defaults filled in and its path made absolute. Answers 422 naming the field."""
    require_checkpoint(request.checkpoint_id, settings, store)
    fields = {"search space": "search_space", "estimator": "estimators"}
    spec = named(fields, lambda: validate_fidelity_spec(request.spec))
    request = request.model_copy(update={"search_space": spec.search_space})
    if request.table is None:
        return request
    table = check_table(
        request.table,
        spec.search_space,
        settings,
        store,
        "table",
        number=request.candidates,
        labels=request.labels,
        population=request.population,
        seed=request.seed,
    )
    return request.model_copy(update={"table": table})
