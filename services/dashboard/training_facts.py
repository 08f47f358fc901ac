"""What a training was asked for, where it stands, and which curves it has."""

from dataclasses import dataclass
from typing import Any

from services.dashboard import formats
from services.store import JobRecord, JsonObject

Figures = list[tuple[str, str, str]]
"""Label, text, note."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of a kind of training."""

    x: str  # the key of the horizontal axis in an event's data
    x_label: str
    charts: tuple[dict[str, Any], ...]  # id, title, and series with key and label
    rare: str = ""  # the key of a series that few of the events have a value of

    @property
    def keys(self) -> list[str]:
        """What is drawn, as the events name it."""
        return [series["key"] for chart in self.charts for series in chart["series"]]


META_CURVES = Curves(
    x="step",
    x_label="meta step",
    charts=(
        {
            "id": "accuracy",
            "title": "Accuracy of trained learners",
            "unit": "%",
            "series": [
                {"key": "accuracy", "label": "on real training images"},
                {"key": "validation_accuracy", "label": "on validation data"},
            ],
        },
        {
            "id": "loss",
            "title": "Outer loss",
            "unit": "nats",
            "series": [{"key": "loss", "label": "outer loss"}],
        },
        {
            "id": "gradient",
            "title": "Norm of the meta-gradient",
            "unit": "",
            "log": True,
            "series": [{"key": "gradient_norm", "label": "before clipping"}],
        },
    ),
    rare="validation_accuracy",
)
FINAL_CURVES = Curves(
    x="epoch",
    x_label="epoch",
    charts=(
        {
            "id": "accuracy",
            "title": "Validation accuracy",
            "unit": "%",
            "series": [{"key": "validation_accuracy", "label": "on validation data"}],
        },
        {
            "id": "loss",
            "title": "Loss",
            "unit": "nats",
            "series": [
                {"key": "train_loss", "label": "training"},
                {"key": "validation_loss", "label": "validation"},
            ],
        },
    ),
)


def meta_training_figures(job: JobRecord, latest: JsonObject | None) -> Figures:
    """Where a meta-training stands, by its result and its latest step."""
    result, step = job.result or {}, latest or {}
    return [
        ("Validation accuracy", formats.percent(result.get("validation_accuracy")), "of a fresh learner"),
        ("Learners' accuracy", formats.percent(step.get("accuracy")), "latest meta step"),
        ("Outer loss", formats.decimal(step.get("loss")), "nats"),
        ("One meta step", formats.seconds(step.get("seconds")), "latest"),
    ]


def final_training_figures(job: JobRecord, latest: JsonObject | None) -> Figures:
    """Where a final training stands, by its result and its latest epoch."""
    result, epoch = job.result or {}, latest or {}
    validation = result.get("validation_accuracy", epoch.get("validation_accuracy"))
    return [
        ("Test accuracy", formats.percent(result.get("test_accuracy")), "opened once, at the end"),
        ("Validation accuracy", formats.percent(validation), ""),
        ("Training loss", formats.decimal(epoch.get("train_loss")), "nats, latest epoch"),
        ("One epoch", formats.seconds(epoch.get("seconds")), "latest"),
    ]


def meta_training_facts(request: JsonObject) -> list[tuple[str, str]]:
    """What a meta-training was asked for."""
    dataset = request["dataset"]
    space = request.get("learner_space")
    learners = [("learner space", f"{space['name']} ({_plain(space)})")] if space else []
    return [
        ("data set", f"{dataset['name']} {dataset.get('path') or ''}".strip()),
        ("seed", str(request["seed"])),
        *learners,
        *_settings(request["config"]),
    ]


def final_training_facts(request: JsonObject) -> list[tuple[str, str]]:
    """What a final training was asked for."""
    return _settings({key: value for key, value in request.items() if key not in {"name", "priority"}})


def _settings(config: JsonObject) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), _written(value)) for key, value in config.items()]


def _written(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(_written, value)) or "none"
        case dict():
            return _plain(value) or "none"
        case _:
            return str(value)


def _plain(options: JsonObject) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {_written(value)}" for key, value in options.items() if key != "name"
    )
