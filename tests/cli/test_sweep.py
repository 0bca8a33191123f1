"""`graphengine run --sweep`: what runs, what it leaves behind, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import TypeAdapter

from graphengine.cli.sweep_manifest import SweepManifest
from tests.cli.conftest import CommandLine, trust_packs_in

STEPS = {"1": {"class_type": "TrialSteps", "inputs": {"steps": 1, "seed": 0}}}
LENGTH = {
    "1": {"class_type": "PrimitiveString", "inputs": {"value": "red fox"}, "_meta": {"title": "Text"}},
    "2": {"class_type": "StringLength", "inputs": {"string": ["1", 0]}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
}
PAINT = '''
from pathlib import Path
from PIL import Image

CALLS = Path(__file__).parent.parent / "calls.txt"


def note(text):
    with CALLS.open("a") as file:
        file.write(text + "\\n")


class TrialModel:
    """Loads what is dear to load."""
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "load", "trial"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def load(self):
        note("model")
        return (object(),)


class TrialPaint:
    """Saves a picture of one shade, always under the same name; refuses the shade 13."""
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "paint", "trial", True

    @classmethod
    def INPUT_TYPES(cls):
        shade = ("INT", {"default": 0, "min": 0, "max": 255})
        return {"required": {"model": ("MODEL",), "shade": shade, "blue": shade}, "hidden": {"c": "GRAPHENGINE_CONTEXT"}}

    def paint(self, model, shade, blue, c):
        note(f"paint {shade} {blue}")
        if shade == 13:
            raise ValueError("bad luck")
        c.folders.output.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (128, 128), (shade, 0, blue)).save(c.folders.output / "painted.png")
        return {"ui": {"images": [{"filename": "painted.png", "subfolder": "", "type": "output"}]}}


NODE_CLASS_MAPPINGS = {"TrialModel": TrialModel, "TrialPaint": TrialPaint}
'''  # noqa: E501 (a line of the pack)
PAINTING = {
    "1": {"class_type": "TrialModel", "inputs": {}},
    "2": {"class_type": "TrialPaint", "inputs": {"model": ["1", 0], "shade": 0, "blue": 0}},
}


def save(file: Path, document: object) -> str:
    file.write_text(json.dumps(document))
    return str(file)


@pytest.fixture
def steps(place: Path) -> str:
    """A workflow that tells its steps and its seed."""
    return save(place / "steps.json", STEPS)


@pytest.fixture
def painting(place: Path) -> str:
    """A workflow that saves a picture."""
    (place / "packs").mkdir()
    (place / "packs" / "paint_nodes.py").write_text(PAINT)
    trust_packs_in(place / "packs")
    return save(place / "paint.json", PAINTING)


def manifest(folder: Path) -> Any:
    content = (folder / "manifest.json").read_bytes()
    TypeAdapter(SweepManifest).validate_json(content, strict=True)
    return json.loads(content)


def test_every_combination_is_run(graphengine: CommandLine, steps: str, place: Path) -> None:
    done = graphengine("run", steps, "--sweep", "TrialSteps.seed=1..3", "--sweep", "steps=1,2")
    assert done.code == 0
    assert done.err.splitlines()[0] == "6 runs: seed (3) x steps (2), into output/sweep_001"
    assert done.err.splitlines()[1].startswith("run 1 of 6, seed=1, steps=1: ")
    assert done.out.splitlines()[0] == "output/sweep_001/manifest.json"
    assert done.out.splitlines()[1].startswith("6 of 6 runs done in ")
    written = manifest(place / "output" / "sweep_001")
    assert written["status"] == "success"
    assert [cell["texts"] for cell in written["cells"]] == [
        [f"{steps} steps, seed {seed}"] for seed in (1, 2, 3) for steps in (1, 2)
    ]
    assert written["cells"][3]["values"] == {"1.seed": 2, "1.steps": 2}
    assert written["axes"] == [{"inputs": ["1.seed"], "rows": 3}, {"inputs": ["1.steps"], "rows": 2}]


def test_zip_runs_values_side_by_side(graphengine: CommandLine, steps: str, place: Path) -> None:
    graphengine("run", steps, "--sweep", "seed=1,2", "--sweep", "steps=3,4", "--zip")
    cells = manifest(place / "output" / "sweep_001")["cells"]
    assert [list(cell["values"].values()) for cell in cells] == [[1, 3], [2, 4]]


def test_rows_of_a_csv_file_go_with_a_sweep(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "length.json", LENGTH)
    (place / "rows.csv").write_text('Text.value\n"a, b"\nfox\n')
    done = graphengine("run", flow, "--csv", "rows.csv", "--json")
    assert done.code == 0
    assert [cell["texts"] for cell in json.loads(done.out)["cells"]] == [["4"], ["3"]]


def test_what_runs_share_is_computed_once(graphengine: CommandLine, painting: str, place: Path) -> None:
    done = graphengine("run", painting, "--custom-nodes", "packs", "--sweep", "shade=10,20,30", "--json")
    assert (place / "calls.txt").read_text().split("\n")[:-1] == [
        "model",
        "paint 10 0",
        "paint 20 0",
        "paint 30 0",
    ]
    assert [cell["executed"] for cell in json.loads(done.out)["cells"]] == [2, 1, 1]


def test_pictures_are_copied_under_the_names_of_their_values(
    graphengine: CommandLine, painting: str, place: Path
) -> None:
    graphengine("run", painting, "--custom-nodes", "packs", "--sweep", "shade=10,20", "--sweep", "blue=1,2")
    folder = place / "output" / "sweep_001"
    names = [
        "001_shade=10_blue=1.png",
        "002_shade=10_blue=2.png",
        "003_shade=20_blue=1.png",
        "004_shade=20_blue=2.png",
    ]
    assert sorted(file.name for file in folder.iterdir()) == [*names, "manifest.json", "sheet.png"]
    with Image.open(folder / names[1]) as picture:  # the node has written over its own file since
        assert picture.getpixel((0, 0)) == (10, 0, 2)
    with Image.open(folder / "sheet.png") as sheet:
        assert min(sheet.size) > 2 * 128


def test_quiet_writes_only_where_the_pictures_are(graphengine: CommandLine, painting: str) -> None:
    done = graphengine("run", painting, "--custom-nodes", "packs", "--sweep", "shade=10,13", "--quiet")
    assert done.out.splitlines() == ["output/sweep_001/001_shade=10.png", "output/sweep_001/sheet.png"]
    assert done.err.splitlines() == [
        "run 2 of 2, shade=13: failed: node 2 (TrialPaint): ValueError: bad luck",
        "error: 1 of 2 runs failed",
    ]


def test_a_run_that_fails_does_not_stop_the_others(graphengine: CommandLine, painting: str, place: Path) -> None:
    done = graphengine("run", painting, "--custom-nodes", "packs", "--sweep", "shade=12..14")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "error: 1 of 3 runs failed"
    written = manifest(place / "output" / "sweep_001")
    assert written["status"] == "error"
    assert [cell["status"] for cell in written["cells"]] == ["success", "error", "success"]
    assert written["cells"][1]["error"]["message"] == "node 2 (TrialPaint): ValueError: bad luck"


def test_fail_fast_ends_at_the_first_failure(graphengine: CommandLine, painting: str, place: Path) -> None:
    done = graphengine("run", painting, "--custom-nodes", "packs", "--sweep", "shade=12..14", "--fail-fast")
    assert done.code == 1
    cells = manifest(place / "output" / "sweep_001")["cells"]
    assert [cell["status"] for cell in cells] == ["success", "error", "not_run"]


def test_ctrl_c_keeps_what_is_there_and_a_second_start_goes_on(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", {"1": {"class_type": "TrialSteps", "inputs": {"steps": 3}}})
    done = graphengine("run", flow, "--sweep", "interrupt_at=0,2,5")
    assert done.code == 1
    assert done.err.splitlines()[-2:] == [
        "error: the sweep was stopped after 1 of 3 runs",
        "  hint: start it again to go on; what is done comes from the cache",
    ]
    first = manifest(place / "output" / "sweep_001")
    assert first["status"] == "cancelled"
    assert [cell["status"] for cell in first["cells"]] == ["success", "cancelled", "not_run"]
    again = graphengine("run", flow, "--sweep", "interrupt_at=0,5", "--json")
    assert [(cell["executed"], cell["cached"]) for cell in json.loads(again.out)["cells"]] == [(0, 1), (1, 0)]


def test_the_second_ctrl_c_ends_a_sweep_too(graphengine: CommandLine, place: Path) -> None:
    flow = save(
        place / "flow.json", {"1": {"class_type": "TrialSteps", "inputs": {"steps": 3, "interrupt_at": 2}}}
    )
    done = graphengine("run", flow, "--sweep", "presses=2")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert manifest(place / "output" / "sweep_001")["status"] == "cancelled"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "seed=1..2000"], "the range '1..2000' has 2000 values"),
        (["--sweep", "seed=1..50", "--sweep", "steps=1..50"], "the sweep has 2500 runs, the limit is 1000"),
        (["--sweep", "seed=1..3", "--max-runs", "2"], "the range '1..3' has 3 values"),
        (["--sweep", "sede=1"], "no node has an input 'sede'"),
        (["--sweep", "seed=1", "--partial"], "a sweep runs what has no errors only"),
        (["--csv", "nowhere.csv"], "there is no file 'nowhere.csv'"),
        (["--inputs", "nowhere"], "there is no folder 'nowhere'"),
        (["--zip"], "it needs --sweep, --csv or --inputs"),
        (["--output-dir", "here"], "it needs --sweep, --csv or --inputs"),
        (["--fail-fast"], "it needs --sweep, --csv or --inputs"),
    ],
)
def test_what_cannot_be_swept_is_wrong_usage(
    graphengine: CommandLine, steps: str, place: Path, options: list[str], message: str
) -> None:
    done = graphengine("run", steps, *options)
    assert done.code == 2
    assert message in done.err
    assert not (place / "output").exists()


def test_every_value_is_checked_before_anything_runs(graphengine: CommandLine, steps: str, place: Path) -> None:
    done = graphengine("run", steps, "--sweep", "steps=1,many,500")
    assert done.code == 1
    assert "'many'" in done.err
    assert "500" in done.err
    assert done.err.splitlines()[-1] == "error: 2 problems in the workflow"
    assert not (place / "output").exists()


def test_a_link_that_a_sweep_replaces_is_told(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "length.json", LENGTH)
    done = graphengine("run", flow, "--sweep", "string=ab,abc")
    assert "warning: node 2 (StringLength): input 'string' was linked to node 1; the sweep replaces it" in done.err


def test_each_sweep_gets_a_folder_of_its_own(graphengine: CommandLine, steps: str, place: Path) -> None:
    for _ in range(2):
        graphengine("run", steps, "--sweep", "seed=1")
    assert sorted(folder.name for folder in (place / "output").iterdir()) == ["sweep_001", "sweep_002"]


def test_a_named_folder_takes_the_same_sweep_again_and_no_other(
    graphengine: CommandLine, steps: str, place: Path
) -> None:
    assert graphengine("run", steps, "--sweep", "seed=1", "--output-dir", "here").code == 0
    assert graphengine("run", steps, "--sweep", "seed=1", "--output-dir", "here").code == 0
    other = graphengine("run", steps, "--sweep", "seed=2", "--output-dir", "here")
    assert other.code == 2
    assert "the folder 'here' holds a sweep over other values" in other.err
    (place / "mine").mkdir()
    (place / "mine" / "diary.txt").touch()
    full = graphengine("run", steps, "--sweep", "seed=1", "--output-dir", "mine")
    assert full.code == 2
    assert "the folder 'mine' is not empty and holds no sweep" in full.err


def test_a_manifest_that_is_none_is_no_sweep(graphengine: CommandLine, steps: str, place: Path) -> None:
    (place / "here").mkdir()
    (place / "here" / "manifest.json").write_text("[" * 100_000)
    assert graphengine("run", steps, "--sweep", "seed=1", "--output-dir", "here").code == 2


def test_a_folder_that_cannot_be_made_is_a_failure(graphengine: CommandLine, steps: str, place: Path) -> None:
    (place / "file").touch()
    done = graphengine("run", steps, "--sweep", "seed=1", "--output-dir", "file/here")
    assert done.code == 1
    assert "cannot make the folder file/here: Not a directory" in done.err


def test_events_of_all_runs_are_written(graphengine: CommandLine, steps: str, place: Path) -> None:
    graphengine("run", steps, "--sweep", "seed=1,2", "--events", "events.jsonl")
    kinds = [json.loads(line)["kind"] for line in (place / "events.jsonl").read_text().splitlines()]
    assert kinds.count("run_started") == kinds.count("run_finished") == 2


def test_events_on_stdout_leave_it_to_no_other(graphengine: CommandLine, steps: str) -> None:
    done = graphengine("run", steps, "--sweep", "seed=1,2", "--events", "-")
    assert {json.loads(line)["kind"] for line in done.out.splitlines()} >= {"run_started", "run_finished"}
    assert "2 of 2 runs done" in done.err


def test_the_manifest_is_written_while_the_sweep_runs(
    graphengine: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphengine.cli.sweep._WRITE_SECONDS", -1.0)
    (place / "packs").mkdir()
    (place / "packs" / "peek_nodes.py").write_text(PEEK)
    trust_packs_in(place / "packs")
    flow = save(place / "flow.json", {"1": {"class_type": "TrialPeek", "inputs": {"number": 0}}})
    graphengine("run", flow, "--custom-nodes", "packs", "--sweep", "number=1,2")
    cells = manifest(place / "output" / "sweep_001")["cells"]
    assert [cell["texts"] for cell in cells] == [["running: not_run not_run"], ["running: success not_run"]]


def test_a_folder_of_pictures_is_run_one_by_one(graphengine: CommandLine, place: Path) -> None:
    flow = save(place / "flow.json", {"1": {"class_type": "TrialPicture", "inputs": {"image": "there.png"}}})
    (place / "packs").mkdir()
    (place / "packs" / "picture_nodes.py").write_text(PICTURE)
    trust_packs_in(place / "packs")
    (place / "photos").mkdir()
    for name in ("b", "a"):
        (place / "photos" / f"{name}.png").write_text(name * 3)
    done = graphengine("run", flow, "--custom-nodes", "packs", "--inputs", "photos", "--json")
    assert done.code == 0
    cells = json.loads(done.out)["cells"]
    assert [(cell["values"], cell["texts"]) for cell in cells] == [
        ({"1.image": "a.png"}, ["aaa"]),
        ({"1.image": "b.png"}, ["bbb"]),
    ]


PICTURE = """
from graphengine.node.api import CONTEXT, Files


class TrialPicture:
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "read", "trial", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": (Files("input", (".png",)),)}, "hidden": {"c": CONTEXT}}

    def read(self, image, c):
        return {"ui": {"text": [c.folders.path("input", image).read_text()]}}


NODE_CLASS_MAPPINGS = {"TrialPicture": TrialPicture}
"""

PEEK = """
import json


class TrialPeek:
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "peek", "trial", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {})}, "hidden": {"c": "GRAPHENGINE_CONTEXT"}}

    def peek(self, number, c):
        seen = json.loads((c.folders.output / "sweep_001" / "manifest.json").read_text())
        states = " ".join(cell["status"] for cell in seen["cells"])
        return {"ui": {"text": [f"{seen['status']}: {states}"]}}


NODE_CLASS_MAPPINGS = {"TrialPeek": TrialPeek}
"""
