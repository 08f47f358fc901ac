import os
import pickle
from typing import Any

import numpy as np
import pytest
from numpy._core.numeric import _frombuffer  # type: ignore[attr-defined]
from numpy.typing import NDArray

from gtn_core.data.array_pickle import load_array_pickle


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


class Calls:
    def __init__(self, what: Any, *arguments: Any) -> None:
        self.call = what, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


BYTES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [BYTES, np.asfortranarray(BYTES), BYTES.transpose(1, 2, 0), BYTES[:, ::2]],
    ids=lambda a: a.strides,
)
def test_arrays_and_plain_values(protocol: int, array: NDArray[np.uint8]) -> None:
    batch = {b"data": array, b"labels": [1, 2], b"name": b"batch \xff"}
    read = load_array_pickle(pickle.dumps(batch, protocol=protocol))
    assert read.keys() == batch.keys()
    assert read[b"labels"] == [1, 2]
    assert read[b"name"] == b"batch \xff"
    np.testing.assert_array_equal(read[b"data"], array)
    assert type(read[b"data"]) is np.ndarray


def test_pickle_of_python_2_and_numpy_1() -> None:
    """Protocol 2 as Python 2 wrote it: text is bytes, and the array's module has numpy 1's name."""
    python_2 = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
        b"K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x02\x03\x04tbu."
    )
    read = load_array_pickle(python_2)
    np.testing.assert_array_equal(read[b"data"], np.array([[1, 2], [3, 4]], dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(RunsCode()), r"asks for posix\.system"),
        (pickle.dumps([1, RunsCode()], protocol=2), r"asks for posix\.system"),
        (pickle.dumps(np.load), r"asks for numpy\.load"),
        (b"cbuiltins\neval\n(S'1'\ntR.", r"asks for builtins\.eval"),
        (b"c_codecs\nencode\n(Vx\nVzlib\ntR.", "asks for the codec 'zlib'"),
        (pickle.dumps(Calls(np.ndarray, (1,), np.dtype("u1"), b"A")), "calls numpy.ndarray"),
        (b"cnumpy\nndarray\nK\x01\x85\x81.", "NEWOBJ"),
        (pickle.dumps(np.zeros(2, np.float32)), "asks for an array of 'f4'; only arrays of uint8"),
        (pickle.dumps(np.array([None])), "asks for an array of 'O8'"),
        (pickle.dumps(np.zeros(1, "O,u1")), "asks for an array of 'V9'"),
        (b"", "corrupt pickle: EOFError"),
        (b"\x80\x02}q\x00(U\x04da", "pickle data was truncated"),
    ],
)
def test_anything_else_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=message):
        load_array_pickle(content)


def test_the_state_of_a_dtype_cannot_make_pointers_of_bytes() -> None:
    """A dtype takes its flags from its state; with those of objects the array's bytes are dereferenced."""
    pickled = pickle.dumps({b"data": np.full(8, 65, np.uint8)}, protocol=0)
    flags = b"I-1\nI-1\nI%d\ntp"
    assert pickled.count(flags % 0) == 1
    read = load_array_pickle(pickled.replace(flags % 0, flags % np.dtype("O").flags))
    assert read[b"data"].dtype.flags == np.dtype("u1").flags == 0
    assert read[b"data"].tobytes() == b"A" * 8


def test_an_array_is_no_view_of_another() -> None:
    """Whose memory a second state would free."""
    view = Calls(_frombuffer, BYTES, np.dtype("u1"), (24,), "C")
    with pytest.raises(pickle.UnpicklingError, match="from something other than bytes"):
        load_array_pickle(pickle.dumps({b"data": view}))


def test_a_pickle_changes_nothing_of_what_it_names() -> None:
    """A state may be attributes to set: here the defaults of a function, which would outlive the reading."""
    defaults = pickle.dumps((None, {"__defaults__": ("latin1",)}), protocol=0).removesuffix(b".")
    for name in (b"_codecs\nencode", b"numpy._core.numeric\n_frombuffer"):
        load_array_pickle(b"c" + name + b"\n" + defaults + b"b.")
        assert load_array_pickle(b"c" + name + b"\n.").__defaults__ is None
    assert _frombuffer.__defaults__ == (None,)
