"""The benchmark that runs saved workflows on tiny models, on two workflows of its own."""

import json
from pathlib import Path

import pytest

from benchmarks.corpus import shrinking
from benchmarks.corpus.documents import Document, core_classes, documents, named_files, read
from benchmarks.corpus.placing import Shelf
from benchmarks.corpus.running import Outcome, attempt, engine_in
from benchmarks.corpus_runs import shares
from graphengine.engine import Engine
from graphengine.workflow.models import Workflow

ASSETS = Path(__file__).parent / "assets"
CROPPED, PORTRAIT = documents(ASSETS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def engine(shelf: Shelf, tmp_path: Path) -> Engine:
    return engine_in(tmp_path, shelf.folder / "packs")


def workflow(engine: Engine, nodes: dict[str, tuple[str, dict[str, object]]], tmp_path: Path) -> Workflow:
    file = tmp_path / "workflow.json"
    file.write_text(
        json.dumps({key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()})
    )
    found = read(engine, file)
    assert found is not None
    return found


def test_a_folder_holds_one_document_for_each_pair_of_files() -> None:
    assert [(document.name, document.editor is not None) for document in documents(ASSETS)] == [
        ("cropped", True),
        ("portrait", False),
    ]


def test_a_document_runs_on_a_model_a_lora_an_embedding_and_a_picture_made_for_it(shelf: Shelf) -> None:
    outcome = attempt(PORTRAIT, shelf, None, 2)
    assert outcome is not None
    assert (outcome.error, outcome.missing, outcome.ran) == ("", (), True)
    assert len(list(shelf.folder.glob("*.safetensors"))) == 3


def test_a_document_saved_before_an_input_runs_as_the_editor_opens_it(shelf: Shelf) -> None:
    outcome = attempt(CROPPED, shelf, None, 2)
    assert outcome is not None
    assert outcome.ran
    assert outcome.refused == "refused: node 2 (ImageCrop): input 'y' is not set"


def test_every_named_file_is_known_with_its_folder_and_its_model(engine: Engine) -> None:
    found = read(engine, PORTRAIT.file)
    assert found is not None
    assert {(file.kind, file.name, file.model) for file in named_files(found, engine.registry)} == {
        ("checkpoints", "painter-v1.ckpt", "painter-v1.ckpt"),
        ("loras", "styles/ink.safetensors", "painter-v1.ckpt"),
        ("input", "face.png", "painter-v1.ckpt"),
        ("embeddings", "calm", "painter-v1.ckpt"),
    }


def test_sizes_of_a_document_shrink_by_one_factor_and_steps_keep_their_places(
    engine: Engine, tmp_path: Path
) -> None:
    given = workflow(
        engine,
        {
            "1": ("EmptyLatentImage", {"width": 1024, "height": 512, "batch_size": 1}),
            "2": ("ConditioningSetArea", {"width": 512, "height": 512, "x": 512, "y": 0, "strength": 1.0}),
            "3": ("KSamplerAdvanced", {"steps": 20, "start_at_step": 10, "end_at_step": 10000}),
            "4": ("EmptyHunyuanLatentVideo", {"width": 1024, "height": 512, "length": 121, "batch_size": 1}),
        },
        tmp_path,
    )
    nodes = {
        str(node_id): node.inputs for node_id, node in shrinking.small(given, engine.registry, 4).nodes.items()
    }
    assert nodes["1"] == {"width": 128, "height": 64, "batch_size": 1}
    assert nodes["2"] == {"width": 64, "height": 64, "x": 64, "y": 0, "strength": 1.0}
    assert nodes["3"] == {"steps": 4, "start_at_step": 2, "end_at_step": 10000}
    assert nodes["4"] == {"width": 128, "height": 64, "length": 9, "batch_size": 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.ckpt", "a.safetensors"), ("b/c.PTH", "b/c.safetensors"), ("d.vae.pt", "d.vae.safetensors"), ("e", "e")],
)
def test_files_that_may_hold_code_get_the_ending_of_those_that_do_not(name: str, expected: str) -> None:
    assert shrinking.as_safetensors(name) == expected


def test_unknown_classes_and_families_are_named(shelf: Shelf, tmp_path: Path) -> None:
    unknown, foreign = tmp_path / "unknown.json", tmp_path / "foreign.json"
    unknown.write_text('{"1": {"class_type": "NotBuilt", "inputs": {}}}')
    foreign.write_text(
        '{"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "ace_step.safetensors"}}}'
    )
    assert str(attempt(Document("unknown", unknown), shelf, None, 2)) == "unknown: missing NotBuilt"
    refused = attempt(Document("foreign", foreign), shelf, None, 2)
    assert refused is not None
    assert "no tiny model of the family 'ace_step'" in refused.error
    outside = attempt(Document("unknown", unknown), shelf, {"KSampler"}, 2)
    assert outside == Outcome("unknown", core=False)


def test_shares_count_documents_of_core_classes_only(tmp_path: Path) -> None:
    listed, saved = tmp_path / "list.json", tmp_path / "object_info.json"
    listed.write_text('{"classes": [{"class": "A"}]}')
    saved.write_text('{"B": {}}')
    assert core_classes([listed, saved]) == {"A", "B"}
    outcomes = [Outcome("a"), Outcome("b", missing=("B",)), Outcome("c", error="failed"), Outcome("d", core=False)]
    assert shares(outcomes).splitlines() == [
        "3 of 4 documents have core classes only",
        "every class exists: 2 of 3 (66.7%)",
        "ran to their end: 1 of 2 (50.0%)",
        "  missing in 1: B",
    ]
