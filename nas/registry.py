"""Names to implementations: the built-in ones, and plugins that other packages bring as entry points."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError, create_model
from pydantic.errors import PydanticUserError

from gtn_core.errors import GtnNasError, UnknownNameError
from gtn_core.strict_model import StrictModel

Factory = TypeVar("Factory", bound=Callable[..., Any])


class Registered(Protocol):
    """What every registered class says of itself."""

    name: str
    description: str
    Config: type[BaseModel]


class PluginError(GtnNasError):
    """An entry point that cannot be imported, or whose object is or does not what its group promises."""

    def __init__(self, kind: str, name: str, message: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(message)

    def __reduce__(self) -> tuple[type["PluginError"], tuple[str, str, str]]:
        return type(self), (self.kind, self.name, str(self))


@dataclass(frozen=True)
class Registry(Generic[Factory]):
    """The implementations of one kind; `Factory` is how they are called, such as `cls(config)`.

    A plugin is imported when it is first asked for, so one that is broken harms only itself: lists of what
    there is say what is wrong with it.
    """

    kind: str
    group: str
    built_in: tuple[Factory, ...]
    config_base: type[BaseModel] = BaseModel  # what configurations have to be

    def names(self) -> list[str]:
        """All names, sorted; plugins are not imported for it."""
        return sorted({*self._built_in_by_name(), *self._plugins()})

    def is_built_in(self, name: str) -> bool:
        """Whether the name belongs to this package, and so to no plugin."""
        return name in self._built_in_by_name()

    def get(self, name: str) -> Factory:
        """The class of that name. Raises UnknownNameError, or PluginError when the plugin is broken."""
        if built_in := self._built_in_by_name().get(name):
            return built_in
        if plugin := self._plugins().get(name):
            return self._import(plugin)
        raise UnknownNameError(self.kind, name, self.names())

    def sound(self) -> dict[str, Factory]:
        """All classes by name, without the plugins that are broken."""
        found = {}
        for name in self.names():
            with suppress(PluginError):
                found[name] = self.get(name)
        return found

    def config(self, name: str, /, **options: Any) -> BaseModel:
        """The class's own configuration from keyword options.

        Raises pydantic.ValidationError, also for an option that it has no field for, unless it allows them.
        """
        model = _self_description(self.get(name)).Config
        if (strict := _strict(model)) is not model:
            strict.model_validate(options)
        return model.model_validate(options)

    def schema(self, name: str) -> dict[str, Any]:
        """JSON Schema of the class's configuration; for a plugin that is broken, one that nothing fulfils."""
        try:
            return _self_description(self.get(name)).Config.model_json_schema()
        except PluginError:
            return {"not": {}}

    def description(self, name: str) -> str:
        """One sentence for people who choose; for a plugin that is broken, what is wrong with it."""
        try:
            return _self_description(self.get(name)).description
        except PluginError as error:
            return str(error)

    @contextmanager
    def faults_of(self, name: str, method: str) -> Iterator[None]:
        """Inside, what the code of a plugin raises becomes a PluginError that says whose fault it is."""
        try:
            yield
        except Exception as error:
            if self.is_built_in(name) or isinstance(error, GtnNasError | ValidationError):
                raise
            raise PluginError(
                self.kind,
                name,
                f"{self.kind} {name!r}: its `{method}` raised {error!r}; fix or uninstall its package",
            ) from error

    def _built_in_by_name(self) -> dict[str, Factory]:
        return {_self_description(factory).name: factory for factory in self.built_in}

    def _plugins(self) -> dict[str, EntryPoint]:
        return {entry_point.name: entry_point for entry_point in entry_points(group=self.group)}

    def _import(self, entry_point: EntryPoint) -> Factory:
        try:
            loaded = entry_point.load()
        except Exception as error:  # whatever foreign code raises while it is imported
            raise self._broken(
                entry_point, f"cannot be imported: {error!r}; fix or uninstall its package"
            ) from error
        missing = [
            attribute for attribute in ("name", "description", "Config") if not hasattr(loaded, attribute)
        ]
        if missing:
            raise self._broken(entry_point, f"lacks the class attribute(s) {', '.join(missing)}")
        if loaded.name != entry_point.name:
            raise self._broken(
                entry_point, f"calls itself {loaded.name!r}; the entry point must have the same name"
            )
        if not isinstance(loaded.description, str):
            raise self._broken(entry_point, f"has the description {loaded.description!r}; expected text")
        if not (isinstance(loaded.Config, type) and issubclass(loaded.Config, self.config_base)):
            expected = f"{self.config_base.__module__}.{self.config_base.__name__}"
            raise self._broken(
                entry_point, f"has the Config {loaded.Config!r}; expected a subclass of {expected}"
            )
        try:
            loaded.Config.model_json_schema()
        except PydanticUserError as error:
            raise self._broken(entry_point, f"has a Config without a JSON Schema: {error.message}") from error
        return cast(Factory, loaded)

    def _broken(self, entry_point: EntryPoint, what: str) -> PluginError:
        plugin = f"{self.kind} plugin {entry_point.name!r} ({entry_point.value})"
        return PluginError(self.kind, entry_point.name, f"{plugin} {what}")


@cache
def _strict(model: type[BaseModel]) -> type[BaseModel]:
    """The model, which may be a plugin's, made to refuse what it has no field for as built-in ones do."""
    if issubclass(model, StrictModel):
        return model
    frozen = model.model_config.get("frozen", False)
    return create_model(model.__name__, __base__=(StrictModel, model), __cls_kwargs__={"frozen": frozen})


def _self_description(factory: Callable[..., Any]) -> Registered:
    return cast(Registered, factory)
