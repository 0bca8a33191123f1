"""Who writes an entry."""

import platform


def writer_name() -> str:
    """The release and the machine, `graphengine 0.1.0 on desk`."""
    from importlib.metadata import (
        PackageNotFoundError,
        version,
    )  # 20 ms that only the first put of a process needs

    try:
        number = version("graphengine-comfy")
    except PackageNotFoundError:
        number = "(checkout)"
    return f"graphengine {number} on {platform.node() or 'an unnamed machine'}"
