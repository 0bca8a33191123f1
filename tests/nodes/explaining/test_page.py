"""docs/image-to-image.md shows pictures that there are, and names nodes that there are."""

import re
from pathlib import Path

from graphengine_nodes.explaining import NODE_CLASS_MAPPINGS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "image-to-image.md").read_text()


def test_every_picture_of_the_page_is_there_and_no_other() -> None:
    shown = set(re.findall(r"\((images/image-to-image/[^)]+)\)", PAGE))
    folder = DOCS / "images" / "image-to-image"
    assert shown == {path.relative_to(DOCS).as_posix() for path in folder.iterdir()}


def test_every_picture_is_small() -> None:
    assert max(path.stat().st_size for path in (DOCS / "images" / "image-to-image").iterdir()) < 150_000


def test_every_node_that_the_page_names_exists() -> None:
    assert set(re.findall(r"`(Explain\w+)`", PAGE)) <= NODE_CLASS_MAPPINGS.keys() | {"Explain"}
