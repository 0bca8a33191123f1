"""Which values a sweep goes through, as the command line, a CSV file or a folder says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from graphengine.cli.sweep_axes import Axis, SweptInput, find_swept, make_sweep, read_axis
from graphengine.cli.sweep_labels import file_stem, row_label
from graphengine.cli.sweep_rows import read_csv, read_pictures
from graphengine.cli.sweep_values import read_values
from graphengine.errors import SettingsError
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

INT, FLOAT, TEXT = InputSpec("seed", "INT"), InputSpec("cfg", "FLOAT"), InputSpec("text", "STRING")
PICTURE = InputSpec("image", "COMBO", choices=Files("input", (".png",)))


def definition(class_type: str, *inputs: InputSpec) -> NodeDefinition:
    return NodeDefinition(class_type, {spec.name: spec for spec in inputs}, outputs=())


DEFINITIONS = {
    "KSampler": definition("KSampler", INT, FLOAT, InputSpec("model", "MODEL")),
    "CLIPTextEncode": definition("CLIPTextEncode", TEXT),
    "LoadImage": definition("LoadImage", PICTURE),
}
FLOW = Workflow(
    {
        NodeId("1"): WorkflowNode("LoadImage", {"image": "a.png"}),
        NodeId("2"): WorkflowNode("CLIPTextEncode", {"text": "a fox"}, title="Prompt"),
        NodeId("3"): WorkflowNode("CLIPTextEncode", {"text": "blurry"}),
        NodeId("4"): WorkflowNode("KSampler", {"seed": 1, "cfg": 7, "model": Link(NodeId("9"), 0)}),
    }
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1..4", [1, 2, 3, 4]),
        ("4..1", [4, 3, 2, 1]),
        ("-1..1", [-1, 0, 1]),
        ("1..8:3", [1, 4, 7]),
        ("5..5", [5]),
        ("4,7,10", [4, 7, 10]),
        ("1..2, 9", [1, 2, 9]),
    ],
)
def test_whole_numbers(text: str, values: list[int]) -> None:
    assert read_values(text, INT, 100) == tuple(values)


def test_decimal_steps_are_exact_and_hold_both_ends() -> None:
    assert read_values("0..1:0.1", FLOAT, 100) == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
    assert read_values("1.5..0:0.5", FLOAT, 100) == (1.5, 1, 0.5, 0)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a fox, a dog", ["a fox", "a dog"]),
        ('"a fox, at night","a dog"', ["a fox, at night", "a dog"]),
        ("'say \"hi\", he said', a dog", ['say "hi", he said', "a dog"]),
        (r'"a \"b\"\\","c\nd"', ['a "b"\\', "c\nd"]),
        ('"",fox', ["", "fox"]),
        ("don't,a 'b'", ["don't", "a 'b'"]),
        ('"1..4"', ["1..4"]),
        ("4", ["4"]),
    ],
)
def test_texts(text: str, values: list[str]) -> None:
    assert read_values(text, TEXT, 100) == tuple(values)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="'", exclude_categories=["Cs"])), min_size=1))
def test_any_texts_can_be_given_in_quotes(texts: list[str]) -> None:
    assert read_values(",".join(f"'{text}'" for text in texts), TEXT, 100_000) == tuple(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "a value is missing"),
        ("", "a value is missing"),
        ('"a', "a quote is not closed, or text follows it: '\"a'"),
        ('"a" b', "a quote is not closed, or text follows it: '\"a\" b'"),
        (r'"\x"', r'cannot read "\x": '),
        ("0..1:0", "the range '0..1:0' gets nowhere in steps of 0"),
        ("8..1:-1", "the range '8..1:-1' gets nowhere in steps of -1"),
        ("0.5..0.9", "the range '0.5..0.9' has no step"),
        ("1..1000000000000", "the range '1..1000000000000' has 1000000000000 values"),
        ("1..60,1..60", "'1..60,1..60' stands for more than 100 values"),
    ],
)
def test_what_is_no_list_of_values_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_values(text, INT, 100)
    assert refused.value.message.startswith(message)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("place", "address"),
    [("4.seed", "4.seed"), ("KSampler.seed", "4.seed"), ("seed", "4.seed"), ("Prompt.text", "2.text")],
)
def test_an_input_is_named_as_set_names_it_or_alone(place: str, address: str) -> None:
    assert find_swept(place, FLOW, DEFINITIONS).address == address


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("text=a", "2 nodes have an input 'text'", "name one: 2.text, 3.text"),
        ("sede=1", "no node has an input 'sede'", "did you mean 'seed'?"),
        ("4.sede=1", "node 4 (KSampler) has no input 'sede'", "did you mean 'seed'?"),
        ("seed", "cannot read --sweep 'seed'", "write NODE.INPUT=VALUES, for example KSampler.seed=1..8"),
        ("=1", "cannot read --sweep '=1'", "write NODE.INPUT=VALUES, for example KSampler.seed=1..8"),
        ("seed=1..x,", "--sweep seed: a value is missing", None),
    ],
)
def test_an_input_that_is_not_there_is_refused(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(SettingsError) as refused:
        read_axis(text, FLOW, DEFINITIONS, 100)
    assert refused.value.message == message
    assert hint is None or refused.value.hint == hint


def test_a_linked_input_is_swept_when_no_other_has_the_name() -> None:
    assert find_swept("model", FLOW, DEFINITIONS).replaced == Link(NodeId("9"), 0)


def axis(name: str, *values: JsonValue) -> Axis:
    return Axis((SweptInput(NodeId("4"), "KSampler", None, name, None),), tuple((value,) for value in values))


def test_several_sweeps_give_every_combination_the_last_fastest() -> None:
    sweep = make_sweep([axis("seed", 1, 2), axis("cfg", 4, 7, 10)], zipped=False, most=6)
    assert list(sweep.rows()) == [(1, 4), (1, 7), (1, 10), (2, 4), (2, 7), (2, 10)]
    assert sweep.count == 6


def test_zipped_sweeps_go_side_by_side() -> None:
    sweep = make_sweep([axis("seed", 1, 2), axis("cfg", 4, 7)], zipped=True, most=2)
    assert list(sweep.rows()) == [(1, 4), (2, 7)]


@pytest.mark.parametrize(
    ("axes", "zipped", "message"),
    [
        ([axis("seed", 1, 2), axis("cfg", 4)], True, "--zip takes equally many values of each input"),
        ([axis("seed", 1), axis("seed", 2)], False, "the input 4.seed is swept twice"),
        ([axis("seed", 1, 2, 3), axis("cfg", 4, 5)], False, "the sweep has 6 runs, the limit is 5"),
    ],
)
def test_sweeps_that_do_not_go_together_are_refused(axes: list[Axis], zipped: bool, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_sweep(axes, zipped=zipped, most=5)


def test_a_row_becomes_changes_of_the_workflow() -> None:
    sweep = make_sweep([axis("seed", 1), axis("cfg", 4)], zipped=False, most=5)
    assert [(change.node_id, change.input_name, change.value) for change in sweep.changes((1, 4))] == [
        ("4", "seed", 1),
        ("4", "cfg", 4),
    ]


def test_a_csv_file_has_a_column_per_input_and_a_row_per_run(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('Prompt.text,seed\n"a fox, at night",1\n\n,2\n', encoding="utf-8-sig")
    read = read_csv(file, FLOW, DEFINITIONS, 10)
    assert [swept.address for swept in read.inputs] == ["2.text", "4.seed"]
    assert read.rows == (("a fox, at night", 1), ("", 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"seed\n", "has no rows"),
        (b"sede\n1\n", "column 'sede': no node has an input 'sede'"),
        (b"seed,cfg\n1\n", "line 2 has 1 values for 2 columns"),
        (b'seed\n"1\n', "line 2: unexpected end of data"),
        (b"seed\n\xff\n", "is not text in UTF-8: invalid start byte"),
        (b"seed\n1\n2\n3\n", "has 3 rows, the limit is 2"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        read_csv(file, FLOW, DEFINITIONS, 2)
    assert message in refused.value.message
    assert refused.value.hint


def test_a_csv_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no file"):
        read_csv(tmp_path / "rows.csv", FLOW, DEFINITIONS, 2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of pictures, as far as their names go."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("10.png", "2.png", "B.PNG", "notes.txt", ".hidden.png"):
        (folder / name).touch()
    return folder


def test_a_folder_of_pictures_is_gone_through_in_the_order_of_numbers(photos: Path, tmp_path: Path) -> None:
    axis_of_pictures, folders = read_pictures(str(photos), FLOW, DEFINITIONS, Folders(input=(tmp_path,)))
    assert axis_of_pictures.rows == (("2.png",), ("10.png",), ("B.PNG",))
    assert axis_of_pictures.inputs[0].address == "1.image"
    assert folders.find("input", "2.png") == photos / "2.png"


def test_the_input_of_the_pictures_can_be_named(photos: Path) -> None:
    two = Workflow({**FLOW.nodes, NodeId("5"): WorkflowNode("LoadImage", {"image": "b.png"})})
    with pytest.raises(SettingsError) as refused:
        read_pictures(str(photos), two, DEFINITIONS, Folders())
    assert refused.value.hint == "say which: --inputs 1.image=DIR, --inputs 5.image=DIR"
    axis_of_pictures, _ = read_pictures(f"5.image={photos}", two, DEFINITIONS, Folders())
    assert axis_of_pictures.inputs[0].address == "5.image"


def test_a_folder_does_not_take_the_place_of_other_pictures(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "2.png").touch()
    two = Workflow({**FLOW.nodes, NodeId("5"): WorkflowNode("LoadImage", {"image": "2.png"})})
    with pytest.raises(SettingsError, match=r"the folder has a picture '2.png', and node 5 names another one"):
        read_pictures(f"1.image={photos}", two, DEFINITIONS, Folders(input=(tmp_path / "input",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [("nowhere", "there is no folder 'nowhere'"), ("1.image=nowhere", "there is no folder 'nowhere'")],
)
def test_a_folder_that_is_absent_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_pictures(text, FLOW, DEFINITIONS, Folders())


def test_a_folder_without_pictures_and_a_workflow_that_takes_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no pictures in"):
        read_pictures(str(tmp_path), FLOW, DEFINITIONS, Folders())
    with pytest.raises(SettingsError, match="no input of the workflow names a picture"):
        read_pictures(str(tmp_path), Workflow({}), DEFINITIONS, Folders())


def test_a_picture_that_is_a_link_to_elsewhere_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    (photos / "z.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(SettingsError, match="leads out of the input folder"):
        read_pictures(str(photos), FLOW, DEFINITIONS, Folders())


SEED, PROMPT = find_swept("seed", FLOW, DEFINITIONS), find_swept("2.text", FLOW, DEFINITIONS)


def test_runs_are_told_apart_by_their_values() -> None:
    assert row_label([SEED, PROMPT], (3, "a fox")) == "seed=3, text=a fox"
    other = find_swept("3.text", FLOW, DEFINITIONS)
    assert row_label([PROMPT, other], ("a", "b\n c")) == "2.text=a, 3.text=b c"


@pytest.mark.parametrize(
    ("value", "stem"),
    [
        (0.25, "003_text=0.25"),
        ("a fox, at night", "003_text=a-fox-at-night"),
        ("../../etc/passwd", "003_text=..-..-etc-passwd"),
        ("a/b\\c:d*e?f\0", "003_text=a-b-c-d-e-f"),
        ("", "003_text"),
        ("Füchse 狐", "003_text=Füchse-狐"),
        ("\ud800", "003_text"),
        ("x" * 100, "003_text=" + "x" * 40),
    ],
)
def test_files_are_named_after_values_as_far_as_names_go(value: JsonValue, stem: str) -> None:
    assert file_stem([PROMPT], (value,), 3, 24) == stem


def test_a_file_is_named_without_its_suffix() -> None:
    assert file_stem([find_swept("image", FLOW, DEFINITIONS)], ("apple.png",), 1, 1000) == "0001_image=apple"


@given(st.text())
def test_a_name_of_a_file_stays_one_and_short(text: str) -> None:
    stem = file_stem([PROMPT, SEED, PROMPT], (text, text, text), 7, 10)
    assert "/" not in stem
    assert stem.startswith("007_")
    assert len(stem.encode()) <= 160
