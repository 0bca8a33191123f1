#!/usr/bin/env python3
"""Whether `graphengine replay` finds and names what was tampered with: pictures, models, inputs, code, the lock.

    python benchmarks/tampering.py [--keep DIR]

A project is made with the img2img workflow, the shipped checkpoint copied to its `models`, a node pack of its own
and a lock. One run is recorded. Then one thing at a time is changed, the picture is replayed in a new process, and
what that says is searched for the name of what was changed; then the change is taken back. The replay of the
unchanged project must give identical bytes. Takes some minutes: each replay imports torch.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parent.parent
MODEL = "graphengine_tiny.safetensors"
PACK = """
from .levels import shifted


class TamperShift:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def run(self, images):
        return (shifted(images),)


NODE_CLASS_MAPPINGS = {"TamperShift": TamperShift}
"""
LEVELS = "def shifted(images):\n    return (images + 0.02).clamp(0, 1)\n"


@dataclass(frozen=True)
class Project:
    """The folder, and how commands are run in it."""

    folder: Path

    def graphengine(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command line."""
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "nodes")]),
            "GRAPHENGINE_CACHE": str(self.folder / "cache"),
        }
        command = [sys.executable, "-m", "graphengine.cli", *words]
        return subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)

    def replay(self) -> tuple[int, dict[str, Any], str]:
        """The exit code of a replay of the picture, what it says as JSON, and on stderr."""
        done = self.graphengine("replay", str(self.picture), "--json", "--trust-changed", "--device", "cpu")
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr

    @property
    def picture(self) -> Path:
        """The picture that the run saved."""
        return self.folder / "output" / "img2img_00001_.png"


def make(folder: Path) -> Project:
    """A project with one recorded run."""
    project = Project(folder)
    document = json.loads((ROOT / "workflows" / "img2img.api.json").read_text())
    document["10"] = {"class_type": "TamperShift", "inputs": {"images": ["8", 0]}}
    document["9"]["inputs"]["images"] = ["10", 0]
    document["6"]["inputs"]["steps"] = 4
    (folder / "flow.json").write_text(json.dumps(document))
    shutil.copytree(ROOT / "workflows" / "input", folder / "input")
    models = folder / "models" / "checkpoints"
    models.mkdir(parents=True)
    shipped = next((ROOT / "nodes").rglob(MODEL))
    shutil.copy(shipped, models / MODEL)
    pack = folder / "custom_nodes" / "tampering"
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text(PACK)
    (pack / "levels.py").write_text(LEVELS)
    for words in (("nodes", "trust", "tampering"), ("lock", "flow.json"), ("run", "flow.json", "--device", "cpu")):
        done = project.graphengine(*words)
        if done.returncode:
            sys.exit(f"graphengine {' '.join(words)}: {done.stderr}{done.stdout}")
    return project


def retouched(picture: Path, change: Callable[[dict[str, str], Any], None]) -> None:
    """Rewrite a picture with changed texts or levels."""
    with Image.open(picture) as opened:
        opened.load()
        texts, levels = dict(opened.text), np.array(opened)
    change(texts, levels)
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.fromarray(levels).save(picture, pnginfo=info)


def one_pixel(texts: dict[str, str], levels: Any) -> None:
    """One level of one pixel."""
    levels[20, 10, 1] ^= 1


def a_square(texts: dict[str, str], levels: Any) -> None:
    """A square of 16 by 16 painted over."""
    levels[32:48, 64:80] ^= 0x80


def seed_in_prompt(texts: dict[str, str], levels: Any) -> None:
    """Another seed in the API document."""
    document = json.loads(texts["prompt"])
    document["6"]["inputs"]["seed"] = 999
    texts["prompt"] = json.dumps(document)


def words_in_prompt(texts: dict[str, str], levels: Any) -> None:
    """Another prompt in the API document."""
    document = json.loads(texts["prompt"])
    document["2"]["inputs"]["text"] = "a hand-drawn pumpkin"
    texts["prompt"] = json.dumps(document)


def no_prompt(texts: dict[str, str], levels: Any) -> None:
    """The API document taken out."""
    del texts["prompt"]


def other_run(texts: dict[str, str], levels: Any) -> None:
    """Another run's id."""
    texts["graphengine"] = json.dumps({"run": "20200101-000000000-abcdef"})


def added_text(texts: dict[str, str], levels: Any) -> None:
    """A text that was not there."""
    texts["Author"] = "somebody else"


def flipped(path: Path, at: int) -> None:
    """One bit of a byte; a negative place counts from the end."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def appended(path: Path, text: str) -> None:
    """A text behind the others."""
    path.write_text(path.read_text() + text)


@dataclass(frozen=True)
class Case:
    """What is changed, in which file, and by which words a replay names it."""

    name: str
    path: str
    change: Callable[[Path], None]
    named: tuple[str, ...]
    fails: bool = True


def cases() -> list[Case]:
    """All that is tampered with."""
    picture = "output/img2img_00001_.png"
    model = f"models/checkpoints/{MODEL}"

    def on(change: Callable[[dict[str, str], Any], None]) -> Callable[[Path], None]:
        return lambda path: retouched(path, change)

    return [
        Case("one level of one pixel", picture, on(one_pixel), ("1 of 65536 pixels differ, at x 10, y 20",)),
        Case("a square painted over", picture, on(a_square), ("x 64 to 79, y 32 to 47",)),
        Case("the seed in the metadata", picture, on(seed_in_prompt), ("node 6 (KSampler): seed: 1 → 999",)),
        Case("the text in the metadata", picture, on(words_in_prompt), ("node 2 (CLIPTextEncode): text:",)),
        Case("the API document taken out", picture, on(no_prompt), ("the text 'prompt' was removed",)),
        Case("another run's id", picture, on(other_run), ("'graphengine' was changed: run:",)),
        Case("a text added", picture, on(added_text), ("the text 'Author' was added",)),
        Case("a byte of the model", model, lambda path: flipped(path, -1001), (f"checkpoints/{MODEL}",), False),
        Case("many bytes of the model", model, many_flipped, (f"checkpoints/{MODEL}", "node 1 (Checkpoint")),
        Case("the input picture", "input/apple.png", on_input, ("input/apple.png", "node 4 (LoadImage)")),
        Case(
            "a node's file",
            "custom_nodes/tampering/levels.py",
            lambda path: path.write_text(LEVELS.replace("0.02", "0.05")) and None,
            ("the code of pack tampering is another in levels.py", "node 10 (TamperShift)"),
        ),
        Case(
            "a comment in a node's file",
            "custom_nodes/tampering/levels.py",
            lambda path: appended(path, "# nothing\n"),
            ("the code of pack tampering is another in levels.py",),
            False,
        ),
        Case(
            "the lock",
            "graphengine.lock",
            lambda path: appended(path, "# changed\n"),
            ("the lock is another",),
            False,
        ),
    ]


def many_flipped(path: Path) -> None:
    """The lowest bits of all weights, so that they stay numbers."""
    data = np.frombuffer(path.read_bytes(), "uint8").copy()
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    data[start::2] ^= 0x0F
    path.write_bytes(data.tobytes())


def on_input(path: Path) -> None:
    """A quarter of the input picture inverted."""
    with Image.open(path) as opened:
        levels = np.array(opened.convert("RGB"))
    levels[: levels.shape[0] // 2, : levels.shape[1] // 2] ^= 0xFF
    Image.fromarray(levels).save(path)


def main() -> None:
    """Change one thing after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the project, which must not be there")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=args.keep is None)
        project = make(folder)
        code, told, errors = project.replay()
        others = len(told.get("departures", []))
        print(f"unchanged: {told.get('level', errors)}, exit code {code}, {others} departures", flush=True)
        right = code == 0 and told.get("level") == "bytes" and not told["departures"]
        found = sum(tried(project, case) for case in cases())
    print(f"{found} of {len(cases())} found and named; unchanged project: {'right' if right else 'WRONG'}")
    sys.exit(0 if right and found == len(cases()) else 1)


def tried(project: Project, case: Case) -> bool:
    """Whether a change is found and named; it is taken back."""
    path = project.folder / case.path
    before = path.read_bytes()
    case.change(path)
    try:
        code, told, errors = project.replay()
    finally:
        path.write_bytes(before)
    text = json.dumps(told, ensure_ascii=False) + errors
    missing = [words for words in case.named if words not in text]
    is_right = not missing and (code == 1 or not case.fails)
    more = "" if is_right else f" missing: {missing}: {text[:2000]}"
    print(
        f"{'found ' if is_right else 'MISSED'} {case.name}: {told.get('level')}, exit code {code}{more}",
        flush=True,
    )
    return is_right


if __name__ == "__main__":
    main()
