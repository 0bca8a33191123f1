"""What a lock holds, and that making it runs nothing."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from graphengine.errors import LockError
from graphengine.locking.lock_file import lock_text, read_lock
from graphengine.locking.packages import locked_packages
from graphengine.node.secrets import without_credentials
from graphengine.packs.discover import custom_packs
from graphengine.packs.project import TrustPolicy
from graphengine.packs.trust import Trust
from tests.locking.conftest import FLOW, STYLE, Place, commit_all, git

DRAWN = {
    "last_node_id": 2,
    "nodes": [
        {"id": 1, "type": "SmallNode", "pos": [0, 0], "widgets_values": [1, "style.safetensors"],
         "outputs": [{"name": "STRING", "type": "STRING", "links": [1]}],
         "properties": {"models": [{"name": "style.safetensors", "directory": "checkpoints",
                                    "url": "https://ann:secret1@example.org/s?token=secret2&download=true"}]}},
        {"id": 2, "type": "PreviewAny", "pos": [300, 0],
         "inputs": [{"name": "source", "type": "*", "link": 1}]},
    ],
    "links": [[1, 1, 0, 2, 0, "STRING"]],
    "version": 0.4,
}  # fmt: skip


def test_a_lock_has_workflow_pack_packages_and_models_as_they_are(place: Place) -> None:
    made = place.make()
    flow = made.lock.workflows["workflows/flow.json"]
    assert (flow.packs, flow.installed_packs, flow.models) == (["small"], ["core"], [STYLE])
    weights = b"the weights of a style"
    model = made.lock.models["checkpoints"]["style.safetensors"]
    assert (model.size, model.sha256) == (len(weights), sha256(weights).hexdigest())
    assert set(made.lock.packs["small"].files) == {"__init__.py", "more.py"}
    assert made.lock.engine.device == "cpu"
    assert made.lock.packages["graphengine-comfy"].version == "0.1.0"


def test_values_that_are_no_texts_name_no_models(place: Place) -> None:
    inputs = {"a": {"__value__": ["style.safetensors"]}, "b": None, "c": {"d": 1}, "e": "..\\style.safetensors"}
    place.write("workflows/flow.json", json.dumps({"1": {"class_type": "SmallNode", "inputs": inputs}}))
    assert place.make().lock.models == {}


def test_the_hash_of_a_pack_is_the_one_that_trust_goes_by(place: Place) -> None:
    pack = custom_packs([place.root / "custom_nodes"])[0]
    assert place.make().lock.packs["small"].content == Trust(TrustPolicy()).remember(pack)


def test_locking_runs_no_code_of_a_pack(place: Place) -> None:
    place.lock()
    assert place.told() == []
    assert not (place.root / "custom_nodes/small/imported").exists()


def test_the_same_project_gives_the_same_text_wherever_it_lies(place: Place) -> None:
    text = lock_text(place.make().lock)
    moved = place.root.rename(place.root.with_name("elsewhere"))
    assert lock_text(Place(moved).make().lock) == text


def test_the_order_of_inputs_and_titles_do_not_count(place: Place) -> None:
    before = place.make().lock.workflows
    turned = {
        key: {
            "_meta": {"title": "mine"},
            "inputs": dict(reversed(node["inputs"].items())),
            "class_type": node["class_type"],
        }
        for key, node in reversed(FLOW.items())
    }
    place.write("workflows/flow.json", json.dumps(turned))
    assert place.make().lock.workflows == before


def test_dragging_a_node_changes_nothing_and_a_widget_does(place: Place) -> None:
    place.write("workflows/flow.json", json.dumps(DRAWN))
    place.lock()
    moved = json.loads(json.dumps(DRAWN))
    moved["nodes"][0]["pos"] = [500, 70]
    place.write("workflows/flow.json", json.dumps(moved))
    assert place.told() == []
    moved["nodes"][0]["widgets_values"] = [2, "style.safetensors"]
    place.write("workflows/flow.json", json.dumps(moved))
    assert place.told() == ["workflow workflows/flow.json is not what the lock says: what it runs was changed"]


def test_addresses_of_models_come_from_the_document_without_secrets(place: Place) -> None:
    place.write("workflows/flow.json", json.dumps(DRAWN))
    text = lock_text(place.lock())
    assert '    "https://example.org/s?download=true",\n' in text
    assert "secret" not in text


def test_addresses_written_by_hand_stay(place: Place) -> None:
    lock = place.lock()
    model = lock.models["checkpoints"]["style.safetensors"].model_copy(update={"urls": ["https://mine.org/a"]})
    again = place.make(lock.model_copy(update={"models": {"checkpoints": {"style.safetensors": model}}}))
    assert again.lock.models["checkpoints"]["style.safetensors"].urls == ["https://mine.org/a"]


def test_hashes_of_packages_stay_as_long_as_the_build_does(place: Place) -> None:
    lock = place.lock()
    name = next(name for name, package in lock.packages.items() if package.installed is not None)
    packages = {**lock.packages, name: lock.packages[name].model_copy(update={"sha256": ["ab" * 32]})}
    hashed = lock.model_copy(update={"packages": packages})
    assert place.make(hashed).lock.packages[name].sha256 == ["ab" * 32]
    other = packages[name].model_copy(update={"installed": "cd" * 32})
    rebuilt = lock.model_copy(update={"packages": {**packages, name: other}})
    assert place.make(rebuilt).lock.packages[name].sha256 == []


def test_a_model_that_is_not_there_cannot_be_locked(place: Place, tmp_path: Path) -> None:
    points = next(tmp_path.glob("site/*/entry_points.txt"))
    points.write_text("[graphengine.nodes]\ndiffusion = graphengine_nodes.diffusion\n")
    load = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no.pt"}}
    place.write("workflows/flow.json", json.dumps({"1": load}))
    (problem,) = place.make().problems
    assert (problem.code, problem.severity) == ("not_lockable", "error")
    assert problem.message == "model checkpoints/no.pt is not there, so its hash is not known"


def test_a_clone_is_locked_with_address_and_commit_but_not_when_it_was_edited(
    place: Place, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    (place.root / "custom_nodes/small").rename(origin)
    commit = commit_all(origin, "first")
    git(tmp_path, "clone", "--quiet", str(origin), str(place.root / "custom_nodes/small"))
    pack = place.make().lock.packs["small"]
    assert (pack.kind, pack.source, pack.commit) == ("git", str(origin), commit)
    place.write("custom_nodes/small/more.py", "MORE = 2\n")
    made = place.make()
    assert made.lock.packs["small"].kind == "local"
    assert any("is to be had is not known" in problem.message for problem in made.problems)


def test_a_clone_with_a_token_in_its_address_is_locked_without(place: Place) -> None:
    pack = place.root / "custom_nodes/small"
    commit_all(pack, "first")
    git(pack, "remote", "add", "origin", "https://ann:hunter2@example.org/small.git?token=hunter3")
    text = lock_text(place.make().lock)
    assert 'source = "https://example.org/small.git"\n' in text
    assert "hunter" not in text


def test_a_workflow_outside_of_the_project_is_refused(place: Place, tmp_path: Path) -> None:
    with place.opened() as project, pytest.raises(LockError, match="lies outside of"):
        project.name(tmp_path / "flow.json")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://ann:pw@example.org/a.git", "https://example.org/a.git"),
        ("https://ghp_token@example.org/a.git", "https://example.org/a.git"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("https://x.org/m?api_key=1&X-Amz-Signature=2&type=Model", "https://x.org/m?type=Model"),
    ],
)
def test_addresses_lose_what_lets_somebody_in(address: str, kept: str) -> None:
    assert without_credentials(address) == kept


def test_packages_are_those_that_are_needed_and_what_these_need() -> None:
    found = locked_packages(["hypothesis", "no-such-package"])
    assert "sortedcontainers" in found
    assert "no-such-package" not in found
    assert found["hypothesis"].installed is not None


def test_two_branches_that_lock_different_things_merge(place: Place) -> None:
    for name in ("b", "d", "f", "h"):
        place.write(
            f"workflows/{name}.json", json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": name}}})
        )
    place.lock()
    commit_all(place.root, "locked")
    git(place.root, "checkout", "--quiet", "-b", "other")
    place.write("workflows/b.json", json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": "new"}}}))
    place.lock()
    commit_all(place.root, "b changed")
    git(place.root, "checkout", "--quiet", "main")
    place.write("workflows/h.json", json.dumps({"1": {"class_type": "PreviewAny", "inputs": {"source": "new"}}}))
    place.write(f"models/{STYLE}", b"other weights")
    place.lock()
    commit_all(place.root, "h and the model changed")
    git(place.root, "merge", "--quiet", "--no-edit", "other")
    assert place.told() == []
    assert len(read_lock(place.root / "graphengine.lock").workflows) == 5
