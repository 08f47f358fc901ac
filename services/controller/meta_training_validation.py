"""What can be said about a request for a meta-training before any work."""

from nas.named_config import NamedConfig
from nas.search_spaces import SEARCH_SPACES
from services.controller.table_validation import check_table
from services.controller.validation import check_dataset, named
from services.schemas.accuracy_tables import CalibrationSet
from services.schemas.requests import MetaTrainingRequest
from services.settings import Settings
from services.store import Store


def check_meta_training(
    request: MetaTrainingRequest, settings: Settings, store: Store
) -> MetaTrainingRequest:
    """The request with every default filled in. Answers 422 naming the field at fault."""
    dataset = check_dataset(request.dataset, settings, store, "dataset")
    space, calibration = request.learner_space, request.calibration_set
    if space is not None:
        space = _check_learner_space(space)
        if calibration is not None:
            calibration = _check_calibration_set(calibration, space, request.seed, settings, store)
    return request.model_copy(
        update={"dataset": dataset, "learner_space": space, "calibration_set": calibration}
    )


def _check_learner_space(space: NamedConfig) -> NamedConfig:
    def complete() -> NamedConfig:
        config = SEARCH_SPACES.config(space.name, **space.options)
        return NamedConfig(name=space.name, **config.model_dump(mode="json"))

    return named({"search space": "learner_space"}, complete, prefix=("learner_space",))


def _check_calibration_set(
    asked: CalibrationSet, space: NamedConfig, seed: int, settings: Settings, store: Store
) -> CalibrationSet:
    if asked.table is None:
        return asked
    table = check_table(
        asked.table,
        space,
        settings,
        store,
        "calibration_set.table",
        number=asked.architectures,
        population="unique",
        seed=seed,
    )
    return asked.model_copy(update={"table": table})
