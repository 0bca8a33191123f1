"""How much a cache folder may hold, and what it compresses: settings of the folder, which all processes share."""

import shutil
from pathlib import Path

from graphengine.cache.compression import DEFAULT_COMPRESSED, VALUE_KINDS, ValueKind

LIMIT = "limit"
COMPRESS = "compress"
UNLIMITED = 2**63 - 1

_SHARE = 10
_LEAST = 2 * 2**30
_MOST = 50 * 2**30


def default_limit(root: Path) -> int:
    """Bytes that a folder may hold when nobody said: a tenth of its file system, but 2 GiB at least and 50 GiB at
    most.
    """
    try:
        total = shutil.disk_usage(root).total
    except OSError:
        return _LEAST
    return min(max(total // _SHARE, _LEAST), _MOST)


def limit_of(root: Path, setting: str | None) -> int:
    """The limit that a setting names; the default where there is none, or no number."""
    return int(setting) if setting is not None and setting.isdecimal() else default_limit(root)


def compressed_of(setting: str | None) -> frozenset[ValueKind]:
    """The kinds of values that a setting names; the default where there is none."""
    if setting is None:
        return DEFAULT_COMPRESSED
    return frozenset(kind for kind in VALUE_KINDS if kind in setting.split(","))
