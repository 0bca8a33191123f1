"""A project with a history: a picture that was made from a picture, a model with a licence, a pack."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphengine.lineage.surroundings import Surroundings
from graphengine.node.definition import Files, InputSpec, NodeDefinition, OutputSpec
from graphengine.node.folders import Folders
from graphengine.packs.discover import custom_packs
from graphengine.provenance.history import HISTORY_FOLDER
from graphengine.provenance.history.documents import document_bytes
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import (
    GitState,
    Machine,
    OutputFile,
    PastNode,
    PastRun,
    UsedFile,
    UsedPack,
)

MACHINE = Machine("0.1.0", "3.11.2", "Linux", "cpu", "2.6.0")


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def picture(file: Path, level: int, texts: Mapping[str, Any]) -> str:
    """Write a small picture with texts; its digest."""
    info = PngInfo()
    for name, value in texts.items():
        info.add_text(name, json.dumps(value))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (level, 0, 0)).save(file, pnginfo=info)
    return digest(file.read_bytes())


def model(file: Path, **metadata: str) -> str:
    """Write a safetensors file without tensors; its digest."""
    header = json.dumps({"__metadata__": metadata}).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    return digest(file.read_bytes())


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def definitions() -> dict[str, NodeDefinition]:
    image = (OutputSpec("IMAGE", "IMAGE"),)
    checkpoint = InputSpec("ckpt_name", "COMBO", choices=Files("checkpoints"))
    return {
        "Load": NodeDefinition("Load", {"image": InputSpec("image", "COMBO", choices=Files("input"))}, image),
        "Paint": NodeDefinition("Paint", {"ckpt_name": checkpoint}, image, module="custom_nodes.painting"),
        "Save": NodeDefinition("Save", {}, (), is_output=True),
    }


@dataclass
class Project:
    """A folder with a history of two runs: the second was given the picture that the first saved."""

    folder: Path
    history: History
    here: Surroundings
    runs: dict[str, PastRun] = field(default_factory=dict)

    def record(self, run_id: str, document: dict[str, Any], **facts: Any) -> PastRun:
        """Write a run into the history."""
        content = document_bytes(document)
        nodes = {key: PastNode(each["class_type"], "aa" * 32, "executed", 0.5) for key, each in document.items()}
        run = PastRun(
            id=run_id, seconds=1.5, status="success", workflow=digest(content), nodes=nodes,
            **{"machine": MACHINE, **facts},
        )  # fmt: skip
        assert self.history.add(run, {run.workflow: content})
        self.runs[run_id] = run
        return run


FIRST, SECOND = "20261101-000000000-aaaaaa", "20261102-000000000-bbbbbb"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    pack = tmp_path / "custom_nodes" / "painting"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text("")
    (pack / "requirements.txt").write_text("pydantic\nnot-installed-anywhere\n")
    (pack / "pyproject.toml").write_text('[project]\nname = "painting"\nlicense = {text = "GPL-3.0"}\n')
    folders = Folders(
        (tmp_path / "input",), tmp_path / "output", models={"checkpoints": (tmp_path / "models" / "checkpoints",)}
    )
    packs = custom_packs([tmp_path / "custom_nodes"])
    found = Project(
        tmp_path, History(tmp_path / HISTORY_FOLDER), Surroundings(tmp_path, folders, packs, definitions())
    )
    weights = model(tmp_path / "models" / "checkpoints" / "tiny.safetensors", **{"modelspec.license": "MIT"})
    first = picture(tmp_path / "output" / "first.png", 10, {"graphengine": {"run": FIRST}})
    found.record(
        FIRST,
        {
            "1": node("Paint", ckpt_name="tiny.safetensors", seed=7, text="a fox"),
            "2": node("Save", images=["1", 0]),
            "8": node("Paint", ckpt_name="unrelated.safetensors", seed=8),
            "9": node("Save", images=["8", 0]),
        },
        started=1000.0,
        file="flows/first.json",
        git=GitState("ab" * 20, True, "main"),
        seeds={"1.seed": 7, "8.seed": 8},
        parameters={"1.text": "a fox"},
        environment={"package:pydantic": "2.0.1", "dtype": "float32"},
        outputs=(
            OutputFile("2", "output/first.png", first, 100),
            OutputFile("9", "output/other.png", "cd" * 32, 100),
        ),
        files=(
            UsedFile("1", "ckpt_name", "checkpoints", "tiny.safetensors", "models/checkpoints/tiny.safetensors",
                     weights),
            UsedFile("8", "ckpt_name", "checkpoints", "unrelated.safetensors", "models/unrelated", "ee" * 32),
        ),
        packs=(
            UsedPack("painting", "1.2", "0123456789abcdef", "https://me:tok3nvalue@host.example/p.git", "12" * 20),
        ),
    )  # fmt: skip
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "given.png").write_bytes((tmp_path / "output" / "first.png").read_bytes())
    second = picture(tmp_path / "output" / "second.png", 20, {"graphengine": {"run": SECOND}})
    found.record(
        SECOND,
        {"4": node("Load", image="given.png"), "5": node("Save", images=["4", 0])},
        started=2000.0,
        outputs=(OutputFile("5", "output/second.png", second, 100),),
        files=(UsedFile("4", "image", "input", "given.png", "input/given.png", first),),
    )
    return found
