"""Which requests take the proxy that the environment names."""

import os
import ssl
from functools import cache
from typing import TypedDict

import httpx2

from services.loopback import names_loopback


class Route(TypedDict):
    """Options of httpx."""

    trust_env: bool
    verify: ssl.SSLContext


def route_to(url: str) -> Route:
    """All that the environment says about how to get there; to this machine's loopback directly.

    A proxy would look for that on its own machine. Certificates are the environment's in any case: a proxy
    with TLS may stand before a controller on loopback.
    """
    certificates = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return {"trust_env": not names_loopback(url), "verify": certificates}


@cache  # a controller asks Ray about every runner each second, and reading them takes 40 ms
def _certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx2.create_ssl_context()
