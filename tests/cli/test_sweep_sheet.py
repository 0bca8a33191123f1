"""The contact sheet of a sweep: where pictures go, what stands in place of those that are not there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydantic import JsonValue

from graphengine.cli.sweep_axes import Axis, Sweep, SweptInput
from graphengine.cli.sweep_lettering import Lettering
from graphengine.cli.sweep_manifest import SweepManifest, new_manifest
from graphengine.cli.sweep_sheet import write_sheet
from graphengine.workflow.models import NodeId

RED, BLUE = (220, 0, 0), (0, 0, 220)


def axis(name: str, *values: JsonValue) -> Axis:
    return Axis((SweptInput(NodeId("3"), "KSampler", None, name, None),), tuple((value,) for value in values))


def swept(folder: Path, *axes: Axis, size: tuple[int, int] = (128, 128)) -> tuple[Sweep, SweepManifest]:
    """A sweep whose first run gave a red picture and the others blue ones."""
    sweep = Sweep(axes)
    manifest = new_manifest(Path("flow.json"), sweep)
    for number, cell in enumerate(manifest["cells"]):
        cell["status"], cell["files"] = "success", ["red.png" if number == 0 else "blue.png"]
    for name, color in (("red.png", RED), ("blue.png", BLUE)):
        Image.new("RGB", size, color).save(folder / name)
    return sweep, manifest


def drawn(folder: Path, sweep: Sweep, manifest: SweepManifest) -> Image.Image:
    name = write_sheet(folder, sweep, manifest)
    assert name == "sheet.png"
    with Image.open(folder / name) as sheet:
        return sheet.convert("RGB")


def area(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box around all pixels of a colour."""
    pixels = np.asarray(sheet)
    rows, columns = np.nonzero((pixels == color).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_the_first_input_makes_rows_the_second_columns(tmp_path: Path) -> None:
    sheet = drawn(tmp_path, *swept(tmp_path, axis("seed", 1, 2), axis("cfg", 4, 7, 10)))
    red, blue = area(sheet, RED), area(sheet, BLUE)
    assert (red[2] - red[0], red[3] - red[1]) == (126, 126)  # within its frame
    assert (blue[0], blue[1]) == (red[0], red[1])
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (126 + 2 * 136, 126 + 136)


def test_a_third_input_makes_more_tables_below(tmp_path: Path) -> None:
    two = drawn(tmp_path, *swept(tmp_path, axis("seed", 1, 2), axis("cfg", 4, 7)))
    three = drawn(tmp_path, *swept(tmp_path, axis("seed", 1, 2), axis("cfg", 4, 7), axis("steps", 10, 20)))
    assert three.width == two.width
    assert three.height > 1.7 * two.height


def test_one_input_makes_lines_of_pictures(tmp_path: Path) -> None:
    sheet = drawn(tmp_path, *swept(tmp_path, axis("seed", *range(12))))
    blue = area(sheet, BLUE)
    assert blue[2] - blue[0] > 3 * 128
    assert blue[3] - blue[1] > 2 * 128


def test_a_table_too_long_to_look_at_becomes_lines(tmp_path: Path) -> None:
    sheet = drawn(tmp_path, *swept(tmp_path, axis("seed", *range(100)), axis("cfg", 1, 2), size=(64, 64)))
    assert sheet.height < 2 * sheet.width


def test_of_a_huge_sweep_the_first_runs_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.cli.sweep_sheet._MAX_PIXELS", 1_000_000)
    sheet = drawn(tmp_path, *swept(tmp_path, axis("seed", *range(200)), size=(16, 16)))
    assert 500_000 < sheet.width * sheet.height <= 1_000_000


def test_a_tall_picture_keeps_its_form(tmp_path: Path) -> None:
    sheet = drawn(tmp_path, *swept(tmp_path, axis("seed", 1, 2), size=(100, 150)))
    red = area(sheet, RED)
    assert (red[2] - red[0]) / (red[3] - red[1]) == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "error", "files": [], "error": {"message": "out of paint " * 50}},
        {"status": "not_run", "files": []},
        {"status": "success", "files": [], "texts": ["seven"]},
        {"status": "success", "files": ["sound.flac"]},
        {"status": "success", "files": ["cut.png"]},
        {"status": "success", "files": ["gone.png"]},
    ],
)  # fmt: skip
def test_what_has_no_picture_is_said_in_its_place(tmp_path: Path, change: Any) -> None:
    (tmp_path / "sound.flac").write_bytes(b"fLaC")
    sweep, manifest = swept(tmp_path, axis("seed", 1, 2), axis("cfg", 4, 7))
    before = drawn(tmp_path, sweep, manifest)
    (tmp_path / "cut.png").write_bytes((tmp_path / "blue.png").read_bytes()[:60])
    manifest["cells"][0].update(change)
    after = drawn(tmp_path, sweep, manifest)
    assert after.size == before.size
    assert RED not in {color for _, color in after.getcolors(1_000_000) or ()}


def test_without_any_picture_there_is_no_sheet(tmp_path: Path) -> None:
    sweep, manifest = swept(tmp_path, axis("seed", 1))
    manifest["cells"][0]["files"] = []
    assert write_sheet(tmp_path, sweep, manifest) is None
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_any_mode_are_shown(tmp_path: Path, mode: str) -> None:
    sweep, manifest = swept(tmp_path, axis("seed", 1))
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new("L", (128, 128), 255).convert("I;16" if mode == "I;16" else mode).save(tmp_path / f"odd.{suffix}")
    manifest["cells"][0]["files"] = [f"odd.{suffix}"]
    assert drawn(tmp_path, sweep, manifest).width > 128


def test_a_transparent_picture_is_shown_on_white(tmp_path: Path) -> None:
    sweep, manifest = swept(tmp_path, axis("seed", 1))
    Image.new("RGBA", (128, 128), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    manifest["cells"][0]["files"] = ["clear.png"]
    colors = {color for _, color in drawn(tmp_path, sweep, manifest).getcolors(1_000_000) or ()}
    assert (255, 0, 0) not in colors


def test_more_pictures_of_a_run_are_counted(tmp_path: Path) -> None:
    sweep, manifest = swept(tmp_path, axis("seed", 1))
    plain = drawn(tmp_path, sweep, manifest)
    manifest["cells"][0]["files"] = ["red.png", "blue.png", "blue.png"]
    assert drawn(tmp_path, sweep, manifest).tobytes() != plain.tobytes()


def test_labels_stay_within_their_width() -> None:
    lettering, sheet = Lettering(), Image.new("RGB", (400, 200), "white")
    text = "a fox at night " * 20 + "x" * 300
    lettering.text(ImageDraw.Draw(sheet), (10, 10), 120, text, color=(0, 0, 0), lines=3)
    box = Image.eval(sheet.convert("L"), lambda value: 255 - value).getbbox()
    assert box is not None
    assert box[2] <= 131
    assert box[3] <= 10 + 3 * lettering.line_height


@pytest.mark.parametrize("text", ["\u00e4\u00e9\u2192\u72d0", "\ud800", "\x00\x1b[2J", ""])
def test_any_text_can_be_set(text: str) -> None:
    lettering, sheet = Lettering(), Image.new("RGB", (200, 100), "white")
    lettering.text(ImageDraw.Draw(sheet), (0, 0), 200, text, color=(0, 0, 0), lines=2, centred=True)
    assert lettering.height_of([text], 200, 2) == lettering.line_height
    assert lettering.width_of([text], 200) <= 200
