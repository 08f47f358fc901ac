"""A port that is taken is a clear error before anything else is started."""

import os
import subprocess
import sys

import pytest

from services.errors import ServiceError
from services.ports import inherit, listen


def test_port_0_takes_any_free_one_and_a_taken_one_is_refused_with_the_remedy() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert port > 0
        with pytest.raises(ServiceError, match=rf"port {port} of 127\.0\.0\.1 is in use; .* --port"):
            listen("127.0.0.1", port)
    with listen("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port


def test_a_child_listens_on_the_socket_that_it_was_started_with() -> None:
    code = "from services.ports import listen; print(listen('127.0.0.1', 0).getsockname()[1])"
    with listen("127.0.0.1", 0) as listener:
        child = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | inherit(listener),
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(child.stdout) == listener.getsockname()[1]


def test_a_port_is_taken_as_soon_as_a_service_has_it() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(ServiceError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])


def test_a_host_that_is_not_this_machine_is_refused() -> None:
    with pytest.raises(ServiceError, match=r"198\.51\.100\.7"):
        listen("198.51.100.7", 0)
    with pytest.raises(ServiceError, match="no such host"):
        listen("no such host", 0)
