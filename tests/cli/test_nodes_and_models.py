"""`graphengine nodes`, `models` and `schema`: what is there."""

import json
from pathlib import Path

import pytest

from graphengine.cli.models import format_size
from graphengine.cli.nodes import definition_lines
from graphengine.node.definition import Files, InputSpec, NodeDefinition, OutputSpec
from graphengine.node.folders import Folders
from tests.cli.conftest import CommandLine


def test_nodes_are_listed_with_category_and_title(graphengine: CommandLine) -> None:
    lines = graphengine("nodes", "list").out.splitlines()
    assert any(line.split() == ["PrimitiveInt", "utils/primitive", "Int"] for line in lines)
    assert lines == [*sorted(lines[:-1]), f"{len(lines) - 1} node types"]


def test_a_category_holds_those_below_it(graphengine: CommandLine) -> None:
    all_of_it = graphengine("nodes", "list", "--category", "utils").out
    below = graphengine("nodes", "list", "--category", "utils/primitive").out
    assert "PreviewAny" in all_of_it
    assert "PrimitiveInt" in all_of_it
    assert "PreviewAny" not in below


def test_a_mistyped_category_gets_the_nearest(graphengine: CommandLine) -> None:
    done = graphengine("nodes", "list", "--category", "utlis")
    assert done.code == 1
    assert done.err == "error: no node type in category 'utlis'\n  hint: did you mean 'utils'?\n"


def test_the_list_can_be_json(graphengine: CommandLine) -> None:
    listed = json.loads(graphengine("nodes", "list", "--json").out)
    assert listed["PrimitiveInt"]["category"] == "utils/primitive"


def test_a_node_is_shown_with_types_ranges_and_choices(tmp_path: Path) -> None:
    folders = Folders(models={"vae": (tmp_path,)})
    for name in ("b.safetensors", "a.safetensors"):
        (tmp_path / name).touch()
    specs = [
        InputSpec("model", "MODEL"),
        InputSpec("steps", "INT", options={"default": 20, "min": 1, "max": 100}),
        InputSpec("mode", "COMBO", choices=tuple(range(20))),
        InputSpec("vae", "COMBO", required=False, choices=Files("vae")),
    ]
    definition = NodeDefinition(
        "Thing",
        {spec.name: spec for spec in specs},
        (OutputSpec("images", "IMAGE", is_list=True),),
        display_name="A Thing",
        category="things",
        module="my_pack",
        description="Does things.",
        experimental=True,
    )
    assert list(definition_lines(definition, folders)) == [
        "Thing: A Thing",
        "  category things, from my_pack",
        "  experimental",
        "  Does things.",
        "inputs",
        "  model  MODEL",
        "  steps  INT    default 20, min 1, max 100",
        "  mode   COMBO  one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more",
        "  vae    COMBO  optional, a file of kind vae: a.safetensors, b.safetensors",
        "outputs",
        "  0  IMAGE  images (a list)",
    ]


def test_a_node_of_a_pack_is_shown_when_packs_are_loaded(graphengine: CommandLine) -> None:
    refused = graphengine("nodes", "show", "TrialSteps")
    assert refused.code == 1
    assert "there is no node type 'TrialSteps'" in refused.err
    assert (
        "  steps         INT  default 0, min 0, max 100"
        in graphengine("nodes", "show", "TrialSteps", "--load-packs").out
    )


def test_a_mistyped_node_gets_the_nearest(graphengine: CommandLine) -> None:
    assert "hint: did you mean 'PreviewAny'?" in graphengine("nodes", "show", "PreviewAll").err


def test_a_node_as_json_is_an_object_info(graphengine: CommandLine) -> None:
    shown = json.loads(graphengine("nodes", "show", "PrimitiveInt", "--json").out)
    assert shown["PrimitiveInt"]["input"]["required"]["value"][0] == "INT"
    assert shown["PrimitiveInt"]["output"] == ["INT"]


@pytest.fixture
def lora(place: Path) -> Path:
    file = place / "models" / "loras" / "sub" / "fox.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 1500)
    return file


def test_models_are_listed_with_kind_size_and_path(graphengine: CommandLine, lora: Path) -> None:
    done = graphengine("models", "list", "loras")
    assert done.out.split() == ["loras", "sub/fox.safetensors", "1.5", "kB", str(lora)]


def test_every_kind_is_listed_once(graphengine: CommandLine, place: Path) -> None:
    file = place / "models" / "clip" / "t5.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    listed = json.loads(graphengine("models", "list", "--json").out)
    assert listed == [{"kind": "text_encoders", "name": "t5.safetensors", "size": 0, "path": str(file)}]
    assert graphengine("models", "list", "clip").out.split()[:2] == ["clip", "t5.safetensors"]


def test_an_empty_kind_says_where_to_put_files(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("models", "list", "vae")
    assert (done.code, done.out) == (0, "")
    assert done.err == f"no vae: put files into {place / 'models' / 'vae'}\n"


def test_a_mistyped_kind_gets_the_nearest(graphengine: CommandLine) -> None:
    done = graphengine("models", "list", "lora")
    assert done.code == 2
    assert done.err == "error: there is no kind of models 'lora'\n  hint: did you mean 'loras'?\n"


def test_sizes_are_read_by_people() -> None:
    assert [format_size(n) for n in (0, 999, 1000, 2_130_000_000)] == ["0 B", "999 B", "1.0 kB", "2.1 GB"]


@pytest.mark.parametrize(("document", "title"), [("api", "API document"), ("ui", "UI document")])
def test_a_schema_is_printed(graphengine: CommandLine, document: str, title: str) -> None:
    assert json.loads(graphengine("schema", document).out)["title"] == title
