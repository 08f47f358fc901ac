"""The address that a controller listens on."""

import errno
import os
import socket

from services.errors import ServiceError

BACKLOG = 2048
"""Connections that may wait to be accepted."""

_INHERITED = "GTN_NAS_LISTENER"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the address: the one that this process was started with, if it was.

    Port 0 takes any free one. Raises ServiceError saying what to change.
    """
    inherited = os.environ.pop(_INHERITED, None)
    if inherited is not None:
        return socket.socket(fileno=int(inherited))
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServiceError(f"cannot listen on {host!r}: {error.strerror}; try another --host") from error
    # Without it a restart has to wait until the kernel has forgotten the connections of the one before.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)  # at once: until one of them listens, two processes can bind to one port
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ServiceError(
                f"port {port} of {host} is in use; choose another with --port, 0 for any free one"
            ) from error
        raise ServiceError(f"cannot listen on port {port} of {host}: {error.strerror}") from error
    return listener


def inherit(listener: socket.socket) -> dict[str, str]:
    """The variable that makes `listen` of a child use this socket, which has to be passed on to it too."""
    return {_INHERITED: str(listener.fileno())}
