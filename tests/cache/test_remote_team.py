"""Two machines with folders of their own and one shared cache: what one has run the other takes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graphengine.cli import main
from graphengine.engine import Engine
from graphengine.settings import load_settings
from tests.workflows import workflow

PACK = """
import folder_paths
import torch

class Weights:
    def __init__(self, data):
        self.total = sum(data)

class LoadWeights:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (folder_paths.get_filename_list("checkpoints"),)}}

    def run(self, name):
        with open(folder_paths.get_full_path("checkpoints", name), "rb") as file:
            return (Weights(file.read()),)

class Sample:
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "seed": ("INT", {"default": 0})}}

    def run(self, model, seed):
        noise = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        return ({"samples": noise * model.total},)

class Louder:
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}}

    def run(self, latent):
        return ({"samples": latent["samples"] * 2},)

class Measure:
    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}}

    def run(self, latent):
        return (float(latent["samples"].mean()),)

class Tell:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT", {})}}

    def run(self, value):
        return {"ui": {"text": [f"{value:.3f}"]}}

NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in (LoadWeights, Sample, Louder, Measure, Tell)}
"""
NODES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "load": ("LoadWeights", {"name": "tiny.safetensors"}),
    "sample": ("Sample", {"model": ["load", 0], "seed": 7}),
    "measure": ("Measure", {"latent": ["sample", 0]}),
    "tell": ("Tell", {"value": ["measure", 0]}),
}
EVERY_NODE = {"load", "sample", "measure", "tell"}


@dataclass(frozen=True)
class Machine:
    """A machine with folders below `base`; its results are shared in `shared`."""

    base: Path
    shared: Path

    def __post_init__(self) -> None:
        self.write("models/checkpoints/tiny.safetensors", b"weights of the model")
        self.write("custom_nodes/team/__init__.py", PACK.encode())
        self.write("cache/.keep", b"")

    def write(self, name: str, data: bytes) -> None:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def settings(self, **how: Any) -> Any:
        environ = {"GRAPHENGINE_CACHE": str(self.base / "cache"), **how.pop("environ", {})}
        settings = load_settings(
            base_dir=self.base, remote_cache=str(self.shared), device="cpu", environ=environ, **how
        )
        return settings.trusting(["team"])

    def run(
        self, nodes: Mapping[str, tuple[str, Mapping[str, Any]]] = NODES, **how: Any
    ) -> tuple[set[str], object]:
        """Which nodes a new process runs, and what the last one tells."""
        with Engine.from_settings(self.settings(**how)) as engine:
            result = engine.run(workflow(nodes))
            return {str(node_id) for node_id in result.executed}, _told(result.ui)


def _told(ui: Mapping[Any, Mapping[str, object]]) -> object:
    (shown,) = ui.values()
    return shown["text"]


@pytest.fixture
def ours(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "alice" / "ComfyUI", tmp_path / "share")


@pytest.fixture
def theirs(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "srv" / "jobs" / "bob", tmp_path / "share")


def test_what_one_machine_has_run_the_other_takes_and_runs_nothing(ours: Machine, theirs: Machine) -> None:
    ran, told = ours.run()
    assert ran == EVERY_NODE
    assert theirs.run() == (set(), told)


LOUDER: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **NODES,
    "loud": ("Louder", {"latent": ["sample", 0]}),
    "measure": ("Measure", {"latent": ["loud", 0]}),
}


def test_of_another_machines_results_those_are_fetched_that_are_needed(ours: Machine, theirs: Machine) -> None:
    ours.run()
    assert theirs.run(LOUDER)[0] == {"loud", "measure", "tell"}


def test_what_was_fetched_is_kept_here(ours: Machine, theirs: Machine) -> None:
    ours.run()
    theirs.run(LOUDER)
    ours.shared.rename(ours.shared.with_name("gone"))
    other = {
        **LOUDER,
        "loud": ("Louder", {"latent": ["again", 0]}),
        "again": ("Louder", {"latent": ["sample", 0]}),
    }
    assert theirs.run(other)[0] == {"loud", "measure", "tell"}


def test_another_model_byte_runs_what_depends_on_it(ours: Machine, theirs: Machine) -> None:
    _, told = ours.run()
    theirs.write("models/checkpoints/tiny.safetensors", b"weights of the modem")
    ran, other = theirs.run()
    assert ran == EVERY_NODE
    assert other != told


def test_other_code_of_a_node_runs_that_node_and_what_its_result_changes(ours: Machine, theirs: Machine) -> None:
    _, told = ours.run()
    theirs.write("custom_nodes/team/__init__.py", PACK.replace(".mean()", ".mean() + 1").encode())
    ran, other = theirs.run()
    assert {"measure", "tell"} <= ran
    assert other != told


def test_another_seed_runs_what_depends_on_it(ours: Machine, theirs: Machine) -> None:
    ours.run()
    ran, _ = theirs.run({**NODES, "sample": ("Sample", {"model": ["load", 0], "seed": 8})})
    assert ran == EVERY_NODE


def test_a_machine_that_only_reads_shares_nothing(ours: Machine, theirs: Machine) -> None:
    ours.run(remote_readonly=True)
    assert theirs.run()[0] == EVERY_NODE
    third = Machine(ours.base.with_name("carol"), ours.shared)
    assert third.run(remote_readonly=True)[0] == set()


def test_a_machine_with_a_key_takes_only_what_is_signed_with_it(
    ours: Machine, theirs: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    secret = {"GRAPHENGINE_REMOTE_KEY": "the key of our team"}
    _, told = ours.run()
    assert theirs.run(environ=secret) == (EVERY_NODE, told)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "the entry is not signed" in warning.getMessage()
    third = Machine(theirs.base.with_name("carol"), ours.shared)
    assert third.run(environ=secret) == (set(), told)


def test_a_shared_cache_that_is_away_changes_nothing_but_a_warning(
    ours: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Machine(ours.base, tmp_path / "not mounted" / "share")
    ran, told = alone.run()
    assert ran == EVERY_NODE
    assert alone.run() == (set(), told)
    assert any("it cannot be reached" in record.getMessage() for record in caplog.records)


def test_no_cache_shares_nothing(ours: Machine) -> None:
    assert ours.settings(no_cache=True).remote is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--remote-cache", "ftp://host/x"], "ftp: is not supported"),
        (["--remote-cache", "s3://"], "the name of the bucket is missing"),
        (["--remote-cache", "s3://user:secret@bucket/x?token=1"], "credentials belong in the environment"),
        (["--remote-cache", "file://"], "a folder is written file:///path"),
        (["--remote-readonly"], "--remote-readonly needs a shared cache"),
    ],
)
def test_an_address_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["run", "flow.json", *arguments]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert "secret" not in errors


def test_without_obstore_the_user_is_told_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphengine.cache.remote_place.find_spec", lambda name: None)
    assert main(["run", "flow.json", "--remote-cache", "s3://bucket"]) == 2
    assert "pip install 'graphengine-comfy[remote]'" in capsys.readouterr().err


def test_a_short_key_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRAPHENGINE_REMOTE_CACHE", str(tmp_path))
    monkeypatch.setenv("GRAPHENGINE_REMOTE_KEY", "short")
    assert main(["serve", "--port", "0"]) == 2
    assert "fewer than 16 characters" in capsys.readouterr().err
