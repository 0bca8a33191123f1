"""Which graphengine this is."""


def installed_version() -> str | None:
    """The version of the installed distribution, None in a bare checkout."""
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that few commands need

    try:
        return version("graphengine-comfy")
    except PackageNotFoundError:
        return None
