"""A project in a folder of its own."""

from pathlib import Path

import pytest

from tests.replaying.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without runs."""
    return Project(tmp_path)
