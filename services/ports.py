"""The address that a controller listens on."""

import errno
import socket

from services.errors import ServiceError


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes any free one. Raises ServiceError saying what to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServiceError(f"cannot listen on {host!r}: {error.strerror}; try another --host") from error
    # Without it a restart has to wait until the kernel has forgotten the connections of the one before.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ServiceError(
                f"port {port} of {host} is in use; choose another with --port, 0 for any free one"
            ) from error
        raise ServiceError(f"cannot listen on port {port} of {host}: {error.strerror}") from error
    return bound
