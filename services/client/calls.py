"""One description of a call for two kinds of client: one that blocks, and one that is awaited.

Every call is written once, as a coroutine. AsyncClient gives that coroutine to its caller. Client runs it
itself: its network blocks where the other one suspends, so the coroutine never suspends, and a single `send`
takes it from its start to its end. No event loop is involved, and one that runs is not in the way.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from functools import wraps
from inspect import signature
from types import GenericAlias
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, get_args, overload

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Marks a client whose calls return answers."""


class Awaited:
    """Marks a client whose calls return awaitables."""


class call(Generic[P, T]):  # noqa: N801 - a decorator
    """Decorates a coroutine method: `client.get(…)` of one client, `await client.get(…)` of the other."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: Blocking, kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Awaited, kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, kind: type) -> Self: ...
    def __get__(self, client: Any, kind: type) -> Any:
        """The method as the client's kind has it; of the class, its documentation."""
        method = self._function if client is None else self._function.__get__(client)
        return _blocking(method, finish) if issubclass(kind, Blocking) else method


class listing(Generic[P, T]):  # noqa: N801 - a decorator
    """Decorates a method that gives an asynchronous iterator; with a Client it gives a plain one."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[T]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: Blocking, kind: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: Awaited, kind: type) -> Callable[P, AsyncGenerator[T]]: ...
    @overload
    def __get__(self, client: None, kind: type) -> Self: ...
    def __get__(self, client: Any, kind: type) -> Any:
        """The method as the client's kind has it; of the class, its documentation."""
        method = self._function if client is None else self._function.__get__(client)
        if not issubclass(kind, Blocking):
            return method
        plain, told = _blocking(method, _each), signature(method)
        item, *_ = get_args(told.return_annotation)
        answer = GenericAlias(Iterator, (item,))
        plain.__signature__ = told.replace(return_annotation=answer)  # type: ignore[attr-defined]
        return plain


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that never suspends returns or raises."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError(f"{coroutine} suspended; only an AsyncClient's network may do that")


def _each(items: AsyncGenerator[T]) -> Iterator[T]:
    try:
        while True:
            try:
                item = finish(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        finish(items.aclose())


def _blocking(method: Callable[P, Any], run: Callable[[Any], Any]) -> Callable[P, Any]:
    @wraps(method)
    def blocking(*arguments: P.args, **options: P.kwargs) -> Any:
        return run(method(*arguments, **options))

    return blocking
