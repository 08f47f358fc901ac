import ctypes.util
import os
import subprocess
import sys

import pytest

from services import heap
from services.heap import heap_environment


@pytest.mark.skipif(ctypes.util.find_library("jemalloc") is None, reason="needs jemalloc")
def test_a_child_has_jemalloc_for_its_heap() -> None:
    reading = "print('jemalloc' in open('/proc/self/maps').read())"
    environment = {**os.environ, "LD_PRELOAD": ""}
    for added, expected in ({}, "False"), (heap_environment(environment), "True"):
        done = subprocess.run(
            [sys.executable, "-c", reading],
            env=environment | added,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_what_a_user_preloads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "find_library", lambda _name: "libjemalloc.so.2")
    assert heap_environment({"LD_PRELOAD": "libtcmalloc.so.4"}) == {}


def test_nothing_is_preloaded_where_there_is_no_jemalloc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "find_library", lambda _name: None)
    assert heap_environment({}) == {}
