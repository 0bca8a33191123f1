"""Addresses that models may be fetched from."""

from urllib.parse import urlsplit

#: Hosts that only programs on this machine answer for.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def may_download(address: str) -> bool:
    """Whether a file may be fetched from there: https, or http from this machine itself."""
    parts = urlsplit(address)
    try:
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
