"""The page with both files side by side."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from graphengine.replaying.page import replay_page
from graphengine.replaying.subject import find_subject
from tests.replaying.project import PAINTED, Project, changed_pixel


def page_of(project: Project, what: Path | str) -> str:
    with project.replayer() as replayer:
        subject = find_subject(str(what), project.history, replayer.stage.engine.registry)
        return replay_page([replayer.replay(subject)])


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    return [np.asarray(Image.open(BytesIO(b64decode(data)))) for data in found]


def test_identical_files_are_shown_without_a_difference(project: Project) -> None:
    project.run(PAINTED)
    page = page_of(project, "@1")
    assert len(pictures(page)) == 2
    assert "identical bytes" in page
    assert "http" not in page


def test_a_tampered_pixel_stands_out_in_the_difference(project: Project) -> None:
    project.run(PAINTED)
    changed_pixel(project.picture(), (3, 2))
    page = page_of(project, project.picture())
    *_, difference = pictures(page)
    assert np.argwhere(difference.any(axis=-1)).tolist() == [[2, 3]]
    assert difference.max() == 255
    assert "changed since it was saved; made again: identical bytes" in page


def test_names_are_escaped(project: Project) -> None:
    project.run({"1": ("Number", {"value": 1}), "2": ("Show", {"value": ["1", 0]})})
    with project.replayer() as replayer:
        subject = find_subject("@1", project.history, replayer.stage.engine.registry)
        page = replay_page([replayer.replay(replace(subject, name="<script>alert(1)</script>"))])
    assert "<script" not in page
