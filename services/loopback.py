"""Which addresses only this machine can reach."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(url: str) -> bool:
    """Whether a URL, or what follows its scheme, leads to this machine's loopback."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
