import os
import pickle
from typing import Any

import numpy as np
import pytest

from gtn_core.data.array_pickle import load_array_pickle


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values(protocol: int) -> None:
    batch = {b"data": np.arange(6, dtype=np.uint8).reshape(2, 3), b"labels": [1, 2], b"name": b"batch \xff"}
    read = load_array_pickle(pickle.dumps(batch, protocol=protocol))
    assert read.keys() == batch.keys()
    assert read[b"labels"] == [1, 2]
    assert read[b"name"] == b"batch \xff"
    np.testing.assert_array_equal(read[b"data"], batch[b"data"])


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
        (b"", "corrupt pickle: EOFError"),
        (b"\x80\x02}q\x00(U\x04da", "pickle data was truncated"),
    ],
)
def test_anything_else_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=message):
        load_array_pickle(content)
