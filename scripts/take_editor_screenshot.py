"""A picture of the official editor with the example workflow after a run.

    python scripts/take_editor_screenshot.py [--out docs/images/editor.png]

Needs Chromium, playwright and comfyui-frontend-package; says so when one is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "nodes")]

from tests.server.editor_page import EditorPage, chromium, editor_server, img2img, what_is_missing  # noqa: E402

#: Pixels of the window; in a narrower one the editor leaves out the texts of nodes when all of them are in view.
WINDOW = (1920, 840)
WIDTH = 1280


def take(target: Path) -> None:
    """Run the example workflow in the editor and write what is seen then."""
    with (
        tempfile.TemporaryDirectory() as place,
        editor_server(Path(place)) as address,
        chromium(*WINDOW) as browser,
    ):
        editor = EditorPage(browser.new_page(), address)
        editor.open()
        editor.drop("img2img.json", img2img())
        editor.run()
        editor.wait_for_picture()
        editor.fit()
        editor.page.get_by_text("Job completed").wait_for()
        shot = Path(place) / "editor.png"
        editor.page.screenshot(path=shot)
        with Image.open(shot) as picture:
            size = (WIDTH, WIDTH * WINDOW[1] // WINDOW[0])
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(target, optimize=True)


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "editor.png")
    chosen = parser.parse_args()
    if missing := what_is_missing():
        parser.error(missing)
    take(chosen.out)
    print(f"{chosen.out}: {chosen.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
