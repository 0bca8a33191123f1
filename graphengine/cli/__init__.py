"""The command line: one module per command, and `main`."""

from graphengine.workflow.collector import collector_paused

with collector_paused():
    from graphengine.cli.app import main

__all__ = ["main"]
