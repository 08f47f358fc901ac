"""What can be said about a request for a fidelity report before any work."""

from pydantic import ValidationError

from gtn_core import UnknownNameError
from gtn_core.errors import DatasetError
from nas.fidelity_spec import validate_fidelity_spec
from nas.search_spaces import get_search_space
from nas.true_accuracies import draw_candidates, parse_true_accuracies
from services.controller.error_handlers import field_problems
from services.controller.problems import invalid, invalid_field
from services.controller.validation import require_checkpoint, within_roots
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
        raise invalid(*field_problems(error.errors(include_url=False), prefix=("estimators",))) from error
    request = request.model_copy(update={"search_space": spec.search_space})
    if request.table is None:
        return request
    if request.table.path is not None:
        path = within_roots(request.table.path, settings, "table")
        return request.model_copy(update={"table": request.table.model_copy(update={"path": str(path)})})
    space = get_search_space(spec.search_space.name, **spec.search_space.options)
    try:
        table = parse_true_accuracies(request.table.csv or "", space, name="of the request")
        draw_candidates(
            table,
            space,
            number=request.candidates + request.labels,
            population=request.population,
            seed=request.seed,
        )
    except DatasetError as error:
        raise invalid_field(
            "table.csv", str(error), None, "a header, then an encoding and an accuracy"
        ) from error
    return request
