"""Ports for services that are told theirs before they start."""

import random
import socket
from collections.abc import Collection


def free_port(taken: Collection[int]) -> int:
    """A free port below those that the system hands out itself, so that no process gets it by chance."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port not in taken and probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
