#!/usr/bin/env python3
"""Writes the JSON Schemas in schemas/ from the models; a test fails when they are stale."""

import sys
from pathlib import Path

from graphengine.cli.schemas import write_schemas


def main() -> int:
    """Write every schema."""
    for path in write_schemas(Path(__file__).parent.parent / "schemas"):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
