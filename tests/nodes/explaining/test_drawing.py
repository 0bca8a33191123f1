import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphengine_nodes.explaining import tables
from graphengine_nodes.explaining.axes import Axis, as_label, scale_for
from graphengine_nodes.explaining.canvas import beside, shortened, text_width, to_image, to_picture
from graphengine_nodes.explaining.charts import Band, Chart, Series, draw
from graphengine_nodes.explaining.strips import Cell, in_rows, sheet

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_an_axis_holds_its_values_and_has_a_few_numbers(values: list[float], whole: bool) -> None:
    scale = scale_for(Axis("x", whole=whole), values)
    assert all(0 <= scale.place(value) <= 1 for value in values)
    ticks = scale.ticks()
    assert len(ticks) <= 9
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in ticks)
    assert not whole or all(tick == round(tick) for tick in ticks)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_a_logarithmic_axis_has_numbers_too(values: list[float]) -> None:
    scale = scale_for(Axis("x", log=True), [0.0, *values, math.nan, math.inf])
    assert all(-1e-9 <= scale.place(value) <= 1 + 1e-9 for value in values)
    assert 0 < len(scale.ticks()) <= 9


def test_a_logarithmic_axis_over_a_decade_shows_more_than_one_number() -> None:
    assert scale_for(Axis("x", log=True, limits=(0.8, 12.0)), []).ticks() == [1.0, 2.0, 5.0, 10.0]


def test_an_axis_without_values_is_drawn_all_the_same() -> None:
    assert draw(Chart("empty", Axis("x"), Axis("y", log=True), [Series("none", [], [])])).size == (560, 360)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (2.5, "2.5"),
        (-0.001, "-0.001"),
        (1e-4, "1e-4"),
        (20000.0, "20000"),
        (1e6, "1e6"),
        (1e-12, "1e-12"),
    ],
)
def test_numbers_are_short(value: float, expected: str) -> None:
    assert as_label(value) == expected


def _colours(picture: Image.Image) -> set[tuple[int, ...]]:
    return {colour for _, colour in picture.getcolors(1 << 20) or () if isinstance(colour, tuple)}


def test_a_chart_has_its_lines_and_its_band_and_leaves_out_what_is_not_finite() -> None:
    chart = Chart(
        "Two lines",
        Axis("x"),
        Axis("y"),
        [Series("up", [0, 1, 2], [0, 1, 2]), Series("gap", [0, 1, 2], [2, math.nan, -math.inf])],
        [Band("late", 1, 2)],
    )
    picture = draw(chart, 300, 240)
    assert picture.size == (300, 240)
    assert {(0, 114, 178), (213, 94, 0), (255, 243, 214)} <= _colours(picture)


def test_a_line_runs_where_its_values_are() -> None:
    picture = draw(Chart("", Axis("x", limits=(0, 1)), Axis("y", limits=(0, 1)), [Series("a", [0, 1], [1, 0])]))
    blue = [
        (x, y)
        for x in range(picture.width)
        for y in range(60, picture.height)
        if picture.getpixel((x, y)) == (0, 114, 178)
    ]
    assert min(blue)[1] < max(blue)[1]  # it falls from the left to the right


def test_a_table_is_text_in_columns_and_a_picture() -> None:
    rows = [["step 1", "14.6"], ["end", "0.0"]]
    assert tables.as_text(("part", "sigma"), rows) == "part    sigma\nstep 1   14.6\nend       0.0"
    small, large = (tables.as_picture("Levels", ("part", "sigma"), rows * n) for n in (1, 3))
    assert (small.width, large.height - small.height) == (large.width, 4 * 22)


def test_cells_of_a_matrix_are_as_strong_as_their_values() -> None:
    picture = tables.matrix_picture(
        "Signs",
        torch.tensor([[1.0, -1.0]]),
        ["row"],
        ["yes", "no"],
        rows_are="rows",
        columns_are="columns",
        limits=(-1.0, 1.0),
    )
    assert {(0, 90, 160), (200, 60, 20)} <= _colours(picture)


def test_small_pictures_are_enlarged_by_whole_numbers_and_large_ones_made_smaller() -> None:
    small, large = torch.ones(20, 20, 3) * 0.5, torch.ones(400, 800, 3) * 0.25
    picture = sheet("Sizes", [[Cell(small, ("20",)), Cell(large)]], shown=96)
    colours = {colour: count for count, colour in picture.getcolors(1 << 20) or ()}
    assert 0 <= colours[(128, 128, 128)] - 100 * 100 < 10  # letters may have this grey, too
    assert 0 <= colours[(64, 64, 64)] - 192 * 96 < 10


def test_a_sheet_without_pictures_has_its_title() -> None:
    assert sheet("Nothing", []).width > text_width("Nothing")


def test_cells_are_put_in_rows() -> None:
    cells = [Cell(torch.zeros(1, 1, 3))] * 5
    assert [len(row) for row in in_rows(cells, 2)] == [2, 2, 1]


def test_pictures_go_to_images_and_back() -> None:
    image = torch.arange(12).reshape(1, 2, 2, 3) / 255
    assert torch.equal(to_image(to_picture(image[0])), image)
    assert to_picture(torch.ones(2, 2, 1)).getpixel((0, 0)) == (255, 255, 255)


def test_pictures_stand_beside_or_below_each_other() -> None:
    parts = [Image.new("RGB", (10, 20)), Image.new("RGB", (30, 5))]
    assert (beside(parts).size, beside(parts, down=True).size) == ((40, 20), (30, 25))


def test_long_labels_are_cut() -> None:
    assert shortened("short", 200) == "short"
    cut = shortened("a label that is too long", 60)
    assert cut.endswith("...")
    assert text_width(cut) <= 60
