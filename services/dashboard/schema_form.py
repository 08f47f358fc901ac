"""Forms made from JSON Schemas: what each field shows, and what a filled-in form says.

A field is named by its dotted path in the request, `search_space.channels`. A value that cannot be read as
its type stays the text that was typed: the schema's owner refuses it, in its own words.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from services.dashboard.formats import bound

Json = dict[str, Any]
Control = Literal["number", "text", "select", "choices", "lines", "json"]


@dataclass(frozen=True, slots=True)
class FormField:
    """One control of a form."""

    name: str
    label: str
    hint: str
    control: Control
    default: Any  # what leaving it out means; None where there is no such thing
    required: bool
    nullable: bool
    integer: bool = False
    bounds: str = ""
    choices: tuple[str, ...] = ()
    value: Any = None  # what it shows

    @property
    def text(self) -> str:
        """The value as a control of one line, or a text area, shows it."""
        if self.value is None:
            return ""
        if self.control == "lines" and not isinstance(self.value, str):
            return "\n".join(self.value)
        if self.control == "json" and not isinstance(self.value, str):
            return json.dumps(self.value, indent=2, ensure_ascii=False)
        return _written(self.value)

    @property
    def selected(self) -> tuple[str, ...]:
        """The choices that are made."""
        values = self.value if isinstance(self.value, (list, tuple)) else [self.value]
        return tuple(_written(value) for value in values if value is not None)

    def read(self, texts: Sequence[str]) -> Any:
        """What was typed or chosen, as JSON. None is null, or nothing where null is not allowed."""
        if self.control == "choices":
            return list(texts)
        text = texts[0].strip() if texts else ""
        if self.control == "lines":
            return [line.strip() for line in text.splitlines() if line.strip()]
        if not text:
            return None
        if self.control == "text" or (self.control == "select" and text in self.choices and not self._truth):
            return text
        try:
            return int(text) if self.integer else from_json(text)
        except ValueError:
            return text

    @property
    def _truth(self) -> bool:
        return self.choices == TRUTH


TRUTH = ("true", "false")


def fields_of(schema: Json, values: Mapping[str, Any], prefix: str = "") -> list[FormField]:
    """The fields of an object's schema, showing `values` where they are given and else the defaults.

    Objects within it that have a schema of their own are taken apart; anything beyond numbers, texts, lists
    of texts and choices is written as JSON.
    """
    definitions: Json = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    fields: list[FormField] = []
    for name, given in schema.get("properties", {}).items():
        found = _resolved(given, definitions)
        if "const" in found:
            continue
        if "properties" in found and name not in required:
            within = {"$defs": definitions, **found}
            fields += fields_of(within, values.get(name) or {}, f"{prefix}{name}.")
            continue
        fields.append(_field(prefix + name, found, required=name in required, values=values, key=name))
    return fields


def read_form(fields: Iterable[FormField], form: Mapping[str, Sequence[str]]) -> Json:
    """What a filled-in form says, without what is the default anyway, nested by the fields' paths."""
    said: Json = {}
    for field in fields:
        value = field.read(form.get(field.name, ()))
        if value == field.default or (value is None and not field.nullable):
            continue
        place = said
        *path, last = field.name.split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return said


def _field(path: str, schema: Json, *, required: bool, values: Mapping[str, Any], key: str) -> FormField:
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    nullable = len(options) < len(schema.get("anyOf", options))
    kind: Json = options[0] if len(options) == 1 else {}
    control, choices = _control(kind)
    default = schema.get("default")
    return FormField(
        name=path,
        label=key.replace("_", " ").capitalize(),
        hint=_sentence(schema.get("description", "")),
        control=control,
        default=default,
        required=required,
        nullable=nullable,
        integer=kind.get("type") == "integer",
        bounds=_bounds(kind),
        choices=choices,
        value=values.get(key, default),
    )


def _control(kind: Json) -> tuple[Control, tuple[str, ...]]:
    match kind:
        case {"enum": list(names)}:
            return "select", tuple(map(str, names))
        case {"type": "boolean"}:
            return "select", TRUTH
        case {"type": "integer" | "number"}:
            return "number", ()
        case {"type": "string"}:
            return "text", ()
        case {"type": "array", "items": {"enum": list(names)}}:
            return "choices", tuple(map(str, names))
        case {"type": "array", "items": {"type": "string"}}:
            return "lines", ()
        case _:
            return "json", ()


def _bounds(kind: Json) -> str:
    """`1 to 512`, `above 0`, or nothing."""
    least, most = kind.get("minimum"), kind.get("maximum")
    above, below = kind.get("exclusiveMinimum"), kind.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"{bound(least)} to {bound(most)}"
    limits = (("at least", least), ("above", above), ("at most", most), ("below", below))
    return ", ".join(f"{word} {bound(limit)}" for word, limit in limits if limit is not None)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _resolved(schema: Json, definitions: Json) -> Json:
    """The schema with its reference followed; what stands beside a reference is kept."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**definitions[reference.rpartition("/")[2]], **beside}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
