"""Addresses as they may stand in a file that is shared: without whatever lets somebody in."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_SECRET = re.compile(
    r"token|key|secret|sig|auth|pass|pwd|credential|session|jwt|policy|expires|x-amz|x-goog", re.I
)
#: Hosts that only programs on this machine answer for.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def without_credentials(address: str) -> str:
    """The address without user, password and such parts of a query as tokens and signatures.

    `git@host:path` keeps its user, which is no secret.
    """
    if "://" not in address:
        return address
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    kept = f"{user.partition(':')[0]}@" if at and parts.scheme in ("ssh", "git+ssh") else ""
    query = [(name, value) for name, value in parse_qsl(parts.query, True) if not _SECRET.search(name)]
    return urlunsplit((parts.scheme, kept + host, parts.path, urlencode(query), ""))


def may_download(address: str) -> bool:
    """Whether a file may be fetched from there: https, or http from this machine itself."""
    parts = urlsplit(address)
    try:
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
