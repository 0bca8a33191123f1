"""`graphengine compare`, and its page."""

import base64
import json
import re
import shutil
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydantic import TypeAdapter

from graphengine.cli.run_changes import RunChanges
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import OutputFile
from tests.cli.conftest import CommandLine
from tests.cli.test_log import FLOW
from tests.provenance.history.past_runs import CONTENT, WORKFLOW, past_run


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(FLOW))
    return file


def test_two_runs_are_told_what_differs(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    graphengine("run", "flow.json", "--set", "1.value=6")
    done = graphengine("compare", "@2", "@1")
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "~ node 1 PrimitiveInt" in lines
    assert "~ value: 5 → 6" in lines
    assert "the first node that gave another result: 1" in lines
    assert "output/saved.txt → output/saved.txt: identical" in lines


def test_a_run_and_itself_differ_in_nothing(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("compare", "@1", "@1")
    assert "nothing that is recorded differs" in done.out


def test_as_json_it_has_the_form_of_its_schema(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    graphengine("run", "flow.json", "--set", "2.text=other")
    found = json.loads(graphengine("compare", "@2", "@1", "--json").out)
    checked = TypeAdapter(RunChanges).validate_python(found)
    assert checked["changed"]
    assert [each["agreement"] for each in checked["outputs"]] == ["different"]
    assert [node["inputs"] for graph in found["workflow"]["graphs"] for node in graph["nodes"]] == [
        [{"name": "text", "kind": "value", "old": "5", "new": "other"}]
    ]


@pytest.fixture
def painted(place: Path) -> Path:
    """A project in which two runs saved a picture of two pixels each, that differ in one."""
    history = History(place / ".graphengine")
    (place / "output").mkdir()
    for number, level in ((1, 10), (2, 60)):
        picture = Image.new("RGB", (2, 1), (level, 0, 0))
        picture.putpixel((1, 0), (5, 5, 5))
        file = place / "output" / f"{number}.png"
        picture.save(file)
        data = file.read_bytes()
        output = OutputFile("2", f"output/{number}.png", sha256(data).hexdigest(), len(data))
        history.add(past_run(number, outputs=(output,)), {WORKFLOW: CONTENT})
    return place


def shown(page: str) -> list[Image.Image]:
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(BytesIO(base64.b64decode(each))) for each in data]


def test_the_page_holds_both_pictures_and_how_they_differ(graphengine: CommandLine, painted: Path) -> None:
    assert graphengine("compare", "@2", "@1", "--html", "page.html").code == 0
    page = (painted / "page.html").read_text()
    before, after, difference = shown(page)
    assert [picture.getpixel((0, 0)) for picture in (before, after)] == [(10, 0, 0), (60, 0, 0)]
    assert [difference.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 0)]
    assert "PSNR 21.9 dB, largest difference 50 of 255" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        ("gone", "the file is not there any more"),
        ("changed", "the file was changed or overwritten since"),
        ("folder", "the file is not there any more"),
    ],
)
def test_a_picture_that_is_not_as_it_was_is_told_and_not_shown(
    graphengine: CommandLine, painted: Path, damage: str, note: str
) -> None:
    picture = painted / "output" / "2.png"
    picture.unlink()
    if damage == "changed":
        shutil.copy(painted / "output" / "1.png", picture)
    elif damage == "folder":
        picture.mkdir()
    graphengine("compare", "@2", "@1", "--html", "page.html")
    page = (painted / "page.html").read_text()
    assert note in page
    assert len(shown(page)) == 1


def test_what_a_stranger_wrote_is_text_in_the_page(graphengine: CommandLine, place: Path) -> None:
    history = History(place / ".graphengine")
    for number in (1, 2):
        name = f"<script>alert({number})</script>"
        history.add(past_run(number, file=name, parameters={name: name}), {WORKFLOW: CONTENT})
    graphengine("compare", "@2", "@1", "--html", "page.html")
    page = (place / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
