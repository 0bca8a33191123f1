"""The command line: one module per command, and `main`."""

from graphengine.cli.app import main

__all__ = ["main"]
