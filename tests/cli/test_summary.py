"""What a run gave, in text."""

from pathlib import Path

from graphengine.cli.summary import RunRecord, summary_json, summary_lines
from graphengine.errors import NodeExecutionError
from graphengine.execution.events import NodeCached, NodeFinished, NodeProgress, RunFinished
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId

FOLDERS = Folders(output=Path("/data/output"), temp=Path("/cache/temp"))


def record(*events: object) -> RunRecord:
    """A record that has heard these events."""
    made = RunRecord()
    for event in events:
        made(event)  # type: ignore[arg-type]  # events, which the tests below list
    return made


def picture(name: str, kind: str = "output", subfolder: str = "") -> dict[str, object]:
    return {"images": [{"filename": name, "subfolder": subfolder, "type": kind}]}


def test_files_are_found_in_the_folder_of_their_type() -> None:
    made = record(
        NodeFinished(NodeId("1"), "SaveImage", 0.1, ui=picture("a.png", subfolder="dogs")),  # type: ignore[arg-type]
        NodeCached(NodeId("2"), "PreviewImage", ui=picture("b.png", kind="temp")),  # type: ignore[arg-type]
        NodeCached(NodeId("3"), "Odd", ui={"images": [3, {"name": "x"}], "text": "no list"}),
    )
    assert made.files(FOLDERS) == [Path("/data/output/dogs/a.png"), Path("/cache/temp/b.png")]
    assert made.texts() == []


def test_the_table_shows_time_and_speed_of_what_ran() -> None:
    made = record(
        NodeCached(NodeId("4"), "CheckpointLoaderSimple"),
        NodeProgress(NodeId("3"), 20, 20),
        NodeFinished(NodeId("3"), "KSampler", 4.0),
        NodeFinished(NodeId("9"), "SaveImage", 0.25, ui=picture("a.png")),  # type: ignore[arg-type]
        RunFinished("success", 4.5, 2, 1),
    )
    assert list(summary_lines(made, FOLDERS, Path("/data"))) == [
        "output/a.png",
        "",
        "node  class      seconds",
        "3     KSampler      4.00  20 steps, 5.0 steps/s",
        "9     SaveImage     0.25",
        "4.50 s in all; 2 run, 1 from the cache",
    ]


def test_of_many_nodes_the_slowest_are_shown_in_their_order() -> None:
    finished = [NodeFinished(NodeId(str(n)), "Add", float(n % 50)) for n in range(100)]
    lines = list(summary_lines(record(*finished), FOLDERS, Path("/data")))
    rows = [line.split() for line in lines if "Add" in line]
    assert len(rows) == 40
    assert {float(row[2]) for row in rows} == set(map(float, range(30, 50)))
    assert [int(row[0]) for row in rows] == sorted(int(row[0]) for row in rows)
    assert "and 60 faster nodes" in lines


def test_json_keeps_full_paths_and_the_error() -> None:
    made = record(
        NodeFinished(NodeId("9"), "SaveImage", 0.25, ui=picture("a.png")),  # type: ignore[arg-type]
        RunFinished("error", 0.5, 1, 0),
    )
    error = NodeExecutionError("3", "KSampler", "it broke", hint="mend it")
    assert summary_json(made, FOLDERS, error) == {
        "status": "error",
        "seconds": 0.5,
        "files": ["/data/output/a.png"],
        "texts": [],
        "nodes": [{"node_id": "9", "class_type": "SaveImage", "title": None, "cached": False, "seconds": 0.25}],
        "error": {"message": "node 3 (KSampler): it broke", "hint": "mend it", "problems": []},
    }
