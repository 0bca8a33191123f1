"""From a picture or a run to what went into it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from graphengine.errors import SettingsError, WorkflowFormatError
from graphengine.lineage.asking import carried_run, find_lineages
from graphengine.lineage.drawing import lineage_svg
from graphengine.lineage.parts import Lineage
from graphengine.lineage.plain import as_json
from graphengine.lineage.spdx import spdx_document
from graphengine.lineage.statement import statement
from graphengine.lineage.text import text_lines
from graphengine.provenance.history.past_run import OutputFile
from tests.lineage.conftest import FIRST, SECOND, Project, model, node, picture


def lineage(project: Project, what: str) -> Lineage:
    (found,) = find_lineages(what, project.history, project.here)
    return found


def test_a_picture_is_found_by_its_bytes_wherever_it_lies(project: Project) -> None:
    moved = project.folder / "elsewhere.png"
    moved.write_bytes((project.folder / "output" / "first.png").read_bytes())
    found = lineage(project, str(moved))
    assert (found.subject.name, found.subject.state, found.notes) == ("elsewhere.png", "as recorded", ())
    assert [each.run for each in found.makings] == [FIRST]


def test_only_the_part_upstream_of_the_saving_node_is_told(project: Project) -> None:
    (making,) = lineage(project, "output/first.png").makings
    assert list(making.workflow.nodes) == ["1", "2"]
    assert making.seeds == {"1.seed": 7}
    assert [each.name for each in making.models] == ["tiny.safetensors"]


def test_a_picture_made_from_a_recorded_picture_leads_on_to_that_run(project: Project) -> None:
    found = lineage(project, "output/second.png")
    assert [each.run for each in found.makings] == [SECOND, FIRST]
    assert [each.made_by for each in found.makings[0].inputs] == [FIRST]
    assert found.makings[1].output == "output/first.png"


def test_a_run_that_reads_what_it_wrote_itself_ends_the_chain(project: Project) -> None:
    recorded = project.runs[SECOND]
    third = project.record(
        "20261103-000000000-cccccc",
        {"4": node("Load", image="given.png"), "5": node("Save", images=["4", 0])},
        started=500.0,
        outputs=recorded.outputs,
        files=recorded.files,
    )
    found = find_lineages(third.id, project.history, project.here)[0]
    assert [each.run for each in found.makings] == [third.id]


def test_models_have_digest_size_and_licence(project: Project) -> None:
    (used,) = lineage(project, "output/first.png").makings[0].models
    assert used.licence is not None
    assert (used.licence.text, used.licence.is_spdx, used.licence.where) == ("MIT", True, "modelspec.license")
    assert (used.bytes, used.state) == (
        (project.folder / "models/checkpoints/tiny.safetensors").stat().st_size,
        "as recorded",
    )


def test_a_model_that_was_changed_since_is_told_and_its_licence_is_not(project: Project) -> None:
    model(project.folder / "models/checkpoints/tiny.safetensors", **{"modelspec.license": "CC0-1.0"})
    (used,) = lineage(project, "output/first.png").makings[0].models
    assert (used.state, used.licence) == ("changed", None)


def test_packs_have_code_commit_and_licence_but_no_login(project: Project) -> None:
    (pack,) = lineage(project, "output/first.png").makings[0].packs
    assert (pack.name, pack.code, pack.commit) == ("painting", "0123456789abcdef", "12" * 20)
    assert pack.source == "https://host.example/p.git"
    assert pack.licence is not None
    assert pack.licence.text == "GPL-3.0-only"
    assert pack.class_types == ("Paint",)


def test_packages_are_the_engine_torch_and_what_packs_require(project: Project) -> None:
    packages = {each.name: each for each in lineage(project, "output/first.png").makings[0].packages}
    assert packages["graphengine-comfy"].version == "0.1.0"
    assert packages["torch"].version == "2.6.0"
    assert packages["pydantic"].version == "2.0.1"  # as recorded, whatever is installed now
    assert packages["pydantic"].licence is None  # of another version than the one that is here
    assert packages["not-installed-anywhere"].version is None


def test_a_picture_that_was_edited_is_told(project: Project) -> None:
    file = project.folder / "output" / "first.png"
    picture(file, 11, {"graphengine": {"run": FIRST}})
    found = lineage(project, str(file))
    assert found.subject.state == "changed"
    assert found.subject.recorded == project.runs[FIRST].outputs[0].sha256
    assert found.notes[0].startswith("output/first.png was changed after it was made, or is another file")


def test_an_edited_picture_that_was_moved_is_told_by_the_run_it_carries(project: Project) -> None:
    file = project.folder / "moved" / "first.png"
    picture(file, 11, {"graphengine": {"run": FIRST}})
    found = lineage(project, str(file))
    assert (found.subject.state, found.makings[0].run) == ("changed", FIRST)


def test_an_edited_picture_without_its_metadata_is_told_by_its_place(project: Project) -> None:
    file = project.folder / "output" / "first.png"
    picture(file, 10, {})
    assert lineage(project, str(file)).subject.state == "changed"


def test_a_run_tells_all_that_it_saved_and_what_is_gone(project: Project) -> None:
    found = find_lineages(FIRST, project.history, project.here)
    assert [each.subject.state for each in found] == ["as recorded", "absent"]
    assert "output/other.png is not there any more" in found[1].notes[0]


def test_a_foreign_picture_is_told_from_its_metadata(project: Project) -> None:
    document = {
        "1": node("Paint", ckpt_name="tiny.safetensors", seed=3, api_key="planted-secret-123"),
        "2": node("Save", images=["1", 0]),
        "3": node("Unknown", lora="absent.safetensors"),
    }
    picture(project.folder / "foreign.png", 30, {"prompt": document})
    found = lineage(project, "foreign.png")
    assert found.subject.state == "not recorded"
    assert "no run of this project is recorded as its maker" in found.notes[0]
    (making,) = found.makings
    assert making.run is None
    assert making.seeds == {"1.seed": 3}
    assert {each.name: each.state for each in making.models} == {
        "tiny.safetensors": "not recorded",
        "absent.safetensors": "absent",
    }
    assert "planted-secret-123" not in "\n".join(text_lines(found))


def test_a_picture_that_names_an_unknown_run_is_told_from_its_metadata(project: Project) -> None:
    document = {"1": node("Save")}
    picture(project.folder / "foreign.png", 30, {"prompt": document, "graphengine": {"run": "20200101-x"}})
    assert "made by run 20200101-x, which is not in the history" in lineage(project, "foreign.png").notes[0]


def test_a_picture_that_says_nothing_is_refused(project: Project) -> None:
    picture(project.folder / "plain.png", 30, {})
    with pytest.raises(WorkflowFormatError, match="holds no workflow"):
        lineage(project, "plain.png")


def test_what_is_neither_a_file_nor_a_run_is_refused(project: Project) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.png: there is no such file"):
        lineage(project, "nothing.png")
    with pytest.raises(SettingsError, match="the history has no run '99'"):
        lineage(project, "99")


def test_a_document_that_is_gone_leaves_the_rest(project: Project) -> None:
    run = project.runs[SECOND]
    for file in (project.folder / ".graphengine" / "documents").rglob(f"{run.workflow}*"):
        file.unlink()
    found = lineage(project, "output/second.png")
    assert "is not known" in found.notes[0]
    assert [each.made_by for each in found.makings[0].inputs] == [FIRST]


def test_the_output_of_a_node_that_another_put_in_its_place_leads_to_that_node(project: Project) -> None:
    run = project.record(
        "20261104-000000000-dddddd",
        {"4": node("Load", image="given.png"), "5": node("Grow", images=["4", 0])},
        started=3000.0,
        outputs=(OutputFile("5.0.2", "output/grown.png", "ab" * 32, 1),),
    )
    (found,) = find_lineages(run.id, project.history, project.here)
    assert found.makings[0].node_id == "5"
    assert list(found.makings[0].workflow.nodes) == ["4", "5"]


def test_damaged_texts_in_a_picture_are_no_run(project: Project, tmp_path: Path) -> None:
    for value in (["run"], {"run": 5}, {"run": "a" * 5000}, None):
        picture(tmp_path / "odd.png", 30, {"prompt": {"1": node("Save")}, "graphengine": value})
        assert "no run of this project" in lineage(project, str(tmp_path / "odd.png")).notes[0]


def test_a_foreign_picture_that_was_made_from_a_recorded_one_leads_on_to_its_run(project: Project) -> None:
    document = {"4": node("Load", image="given.png"), "5": node("Save", images=["4", 0])}
    picture(project.folder / "foreign.png", 30, {"prompt": document})
    found = lineage(project, "foreign.png")
    assert [each.run for each in found.makings] == [None, FIRST]
    assert [each.made_by for each in found.makings[0].inputs] == [FIRST]


def test_a_secret_that_a_record_holds_all_the_same_is_not_shown(project: Project) -> None:
    secret, token = "planted-secret-123", "hf_abcdefghijklmnopqrst"
    run = project.record(
        "20261105-000000000-eeeeee",
        {
            "1": node("Paint", api_key=secret, text="token hf_abcdefghijklmnopqrst"),
            "2": node("Save", images=["1", 0]),
        },
        started=4000.0,
        parameters={"1.api_key": secret, "1.text": token},
        outputs=(OutputFile("2", "output/secret.png", "ab" * 32, 1),),
    )
    found = find_lineages(run.id, project.history, project.here)
    written = ["\n".join(text_lines(found[0])), json.dumps(as_json(found[0])), json.dumps(statement(found))]
    written += [json.dumps(spdx_document(found, 0)), lineage_svg(found[0], project.here.definitions)]
    for text in written:
        assert secret not in text
        assert token not in text


def test_a_webp_picture_carries_its_run_in_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = 'workflow:{"nodes": []}'
    exif[0x010E] = f'graphengine:{{"run": "{FIRST}"}}'
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp", exif=exif)
    assert carried_run(tmp_path / "a.webp") == FIRST
    assert carried_run(Path(__file__)) is None
