"""Read a pickle that holds plain values and numpy arrays, and nothing that can run code."""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

# Private names of numpy: pickles refer to them, and they have no public ones.
from numpy._core.multiarray import _reconstruct
from numpy._core.numeric import _frombuffer  # type: ignore[attr-defined]  # absent from numpy's stubs


def load_array_pickle(content: bytes) -> Any:
    """Unpickle numbers, strings, bytes, lists, dicts and numpy arrays; text of Python 2 comes as bytes.

    Raises pickle.UnpicklingError when the pickle is corrupt or asks for anything else, before it is made.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a corrupt pickle can raise nearly everything
        raise pickle.UnpicklingError(f"corrupt pickle: {error!r}") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}; only numpy arrays and plain values are read"
            ) from None


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into protocol 2: `codecs.encode(text, "latin1")`, and no other codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # written by numpy 1
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _latin1,
}
