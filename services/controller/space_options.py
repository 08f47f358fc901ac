"""Options of a search space that a final training changes: checked before it is queued."""

from typing import Any

from pydantic import ValidationError

from gtn_core.errors import InvalidArchitectureError
from nas.search_spaces import with_options
from nas.search_spaces.base import SearchSpace
from services.controller.error_handlers import field_problems
from services.controller.problems import invalid, invalid_field
from services.store import CandidateRecord


def check_space_options(space: SearchSpace, options: dict[str, Any], candidate: CandidateRecord) -> None:
    """Answers 422 to options that the space refuses, or under which it does not hold the architecture."""
    try:
        with_options(space, options).parse(candidate.encoding)
    except ValidationError as error:
        raise invalid(*field_problems(error.errors(include_url=False), prefix=("space_options",))) from error
    except InvalidArchitectureError as error:
        raise invalid_field("space_options", str(error), options) from error
