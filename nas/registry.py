"""Names to implementations: the built-in ones, and plugins that other packages bring as entry points."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel

from gtn_core.errors import GtnNasError, UnknownNameError

Factory = TypeVar("Factory", bound=Callable[..., Any])


class Registered(Protocol):
    """What every registered class says of itself."""

    name: str
    description: str
    Config: type[BaseModel]


class PluginError(GtnNasError):
    """An entry point that cannot be imported, or whose object is not what its group promises."""


@dataclass(frozen=True)
class Registry(Generic[Factory]):
    """The implementations of one kind; `Factory` is how they are called, such as `cls(config)`.

    A plugin is imported when it is first asked for, so one that is broken harms only itself.
    """

    kind: str
    group: str
    built_in: tuple[Factory, ...]

    def names(self) -> list[str]:
        """All names, sorted; plugins are not imported for it."""
        return sorted({*self._built_in_by_name(), *self._plugins()})

    def get(self, name: str) -> Factory:
        """The class of that name. Raises UnknownNameError, or PluginError when the plugin is broken."""
        if built_in := self._built_in_by_name().get(name):
            return built_in
        if plugin := self._plugins().get(name):
            return self._import(plugin)
        raise UnknownNameError(self.kind, name, self.names())

    def config(self, name: str, /, **options: Any) -> BaseModel:
        """The class's own configuration from keyword options. Raises pydantic.ValidationError."""
        return _self_description(self.get(name)).Config.model_validate(options)

    def schema(self, name: str) -> dict[str, Any]:
        """JSON Schema of the class's configuration."""
        return _self_description(self.get(name)).Config.model_json_schema()

    def description(self, name: str) -> str:
        """One sentence for people who choose."""
        return _self_description(self.get(name)).description

    def _built_in_by_name(self) -> dict[str, Factory]:
        return {_self_description(factory).name: factory for factory in self.built_in}

    def _plugins(self) -> dict[str, EntryPoint]:
        return {entry_point.name: entry_point for entry_point in entry_points(group=self.group)}

    def _import(self, entry_point: EntryPoint) -> Factory:
        plugin = f"{self.kind} plugin {entry_point.name!r} ({entry_point.value})"
        try:
            loaded = entry_point.load()
        except Exception as error:  # whatever foreign code raises while it is imported
            raise PluginError(
                f"{plugin} cannot be imported: {error!r}; fix or uninstall its package"
            ) from error
        missing = [
            attribute for attribute in ("name", "description", "Config") if not hasattr(loaded, attribute)
        ]
        if missing:
            raise PluginError(f"{plugin} lacks the class attribute(s) {', '.join(missing)}")
        if loaded.name != entry_point.name:
            raise PluginError(
                f"{plugin} calls itself {loaded.name!r}; the entry point must have the same name"
            )
        return cast(Factory, loaded)


def _self_description(factory: Callable[..., Any]) -> Registered:
    return cast(Registered, factory)
