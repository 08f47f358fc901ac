"""Read a pickle of plain values and arrays of bytes. Nothing that it names is called.

Unpickling arrays as numpy does would put memory into the hands of whoever wrote the pickle: `numpy.ndarray`
and a dtype of objects make pointers of bytes, a dtype takes its flags from its state, and an array that is
given a second state frees what a view of it still reads. Here arrays are bytes and a shape until all else is
done.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

# A private name of numpy: pickles refer to it, and it has no public one.
from numpy._core.numeric import _frombuffer  # type: ignore[attr-defined]  # absent from numpy's stubs
from numpy.typing import NDArray


def load_array_pickle(content: bytes) -> Any:
    """Unpickle numbers, strings, bytes, lists and dicts; text of Python 2 comes as bytes.

    Of a dict, values may be numpy arrays of uint8. Raises pickle.UnpicklingError when the pickle is corrupt
    or asks for anything else.
    """
    try:
        found = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        if isinstance(found, dict):
            return {key: each.made() if isinstance(each, _Array) else each for key, each in found.items()}
        return found
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a corrupt pickle can raise nearly everything
        raise pickle.UnpicklingError(f"corrupt pickle: {error!r}") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            make = _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}; only arrays of uint8 and plain values are read"
            ) from None
        # A function of its own: a pickle may set attributes of whatever it finds.
        return lambda *arguments: make(*arguments)


class _Array:
    """What a pickle has told of an array so far."""

    def __init__(self, content: object = b"", *layout: Any) -> None:
        self._content, self._layout = content, layout  # the latter as `_frombuffer` takes it

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_version, shape, _dtype, in_fortran_order, content = state
        self._content, self._layout = content, (shape, "F" if in_fortran_order else "C")

    def made(self) -> NDArray[np.uint8]:
        if not isinstance(self._content, bytes | bytearray):
            raise pickle.UnpicklingError("it makes an array from something other than bytes")
        array: NDArray[np.uint8] = _frombuffer(self._content, np.uint8, *self._layout)
        return array


class _UInt8:
    """The only dtype there is."""

    def __init__(self, name: str | bytes, *_flags: object) -> None:
        if name not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"it asks for an array of {name!r}; only arrays of uint8 are read")

    def __setstate__(self, _state: object) -> None:
        """A byte order and flags, of which a byte has none."""


def _empty(*_of_what: object) -> _Array:
    """What numpy makes first of an array; its shape and bytes follow."""
    return _Array()


def _from_buffer(content: object, _dtype: object, *layout: object) -> _Array:
    return _Array(content, *layout)


def _refused(*_: object) -> None:
    """The type of arrays, which pickles name and none that numpy writes calls."""
    raise pickle.UnpicklingError("it calls numpy.ndarray, which makes an array of memory of its choice")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into protocol 2: `codecs.encode(text, "latin1")`, and no other codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _refused,
    ("numpy", "dtype"): _UInt8,
    ("numpy.core.multiarray", "_reconstruct"): _empty,  # written by numpy 1
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _latin1,
}
