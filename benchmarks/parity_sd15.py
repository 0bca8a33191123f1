#!/usr/bin/env python3
"""Whether whole runs of an SD1.5-size model give what ComfyUI gave.

    python benchmarks/parity_sd15.py --reference DIR --checkpoint FILE [--input PNG]

DIR holds API documents and what ComfyUI made of them: `txt2img_128.json` and `img2img_128.json`, `ref_*.latent`,
`ref_*.png`. FILE is the random-weight checkpoint that the documents were run with; random weights hide no error.
The documents run through the engine as they are. Latents are compared by the largest difference over the standard
deviation (at most 1e-3), pictures by the largest difference (at most 2 of 255). Exit code 1 when one is exceeded.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.execution.executor import LocalExecutor
from graphengine.node.comfy_classes import define
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.formats import read_document, to_workflow
from graphengine_nodes import core, diffusion, image

DOCUMENTS = ("txt2img_128.json", "img2img_128.json")
LATENT_LIMIT = 1e-3
PIXEL_LIMIT = 2


def registry() -> NodeRegistry:
    """The built-in nodes."""
    return NodeRegistry(
        define(name, node_class)
        for pack in (core, image, diffusion)
        for name, node_class in pack.NODE_CLASS_MAPPINGS.items()
    )


def run(document: Path, checkpoint: Path, picture: Path, output: Path) -> float:
    """Run an API document with another checkpoint and picture; the wall seconds it took."""
    nodes = json.loads(document.read_text())
    for node in nodes.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            node["inputs"]["ckpt_name"] = checkpoint.name
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = picture.name
    known = registry()
    folders = Folders(
        input=(picture.parent,), output=output, temp=output, models={"checkpoints": (checkpoint.parent,)}
    )
    engine = Engine(known, MemoryStore(), folders, LocalExecutor(), "cpu")
    begun = time.perf_counter()
    engine.run(to_workflow(read_document(json.dumps(nodes).encode()), known).workflow)
    return time.perf_counter() - begun


def compare(made: Path, expected: Path) -> tuple[str, bool]:
    """How far a file is from its reference, in words, and whether that is near enough."""
    if made.suffix == ".latent":
        ours, theirs = (load_file(path)["latent_tensor"] for path in (made, expected))
        error = float(np.abs(ours - theirs).max() / theirs.std(ddof=1))
        return f"max |a-b| / std(b) = {error:.2g}", error < LATENT_LIMIT
    pixels, reference = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (made, expected))
    difference = np.abs(pixels - reference)
    share = float((difference > 0).mean())
    return f"largest difference {difference.max()}, {share:.3%} of values differ", difference.max() <= PIXEL_LIMIT


def main() -> int:
    """Run both documents and print a line per file that has a reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    parser.add_argument("--input", type=Path, metavar="PNG", help="default: DIR/input_128.png")
    args = parser.parse_args()
    picture = args.input or args.reference / "input_128.png"
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for document in DOCUMENTS:
            seconds = run(args.reference / document, args.checkpoint, picture, Path(folder))
            print(f"{document}: {seconds:.1f} s", flush=True)
        references = sorted([*args.reference.glob("ref_*.latent"), *args.reference.glob("ref_*.png")])
        for expected in references:
            made = find(Path(folder), expected)
            verdict, near = compare(made, expected) if made else ("was not made", False)
            good &= near
            print(f"{'ok  ' if near else 'FAR '} {expected.name:<34} {verdict}")
    return 0 if good and references else 1


def find(folder: Path, expected: Path) -> Path | None:
    """The file of the same prefix and kind; the counters of both programs may differ."""
    prefix = expected.stem.rstrip("_").rpartition("_")[0]
    matches = sorted(path for path in folder.glob(f"{prefix}_*{expected.suffix}"))
    exact = [path for path in matches if path.stem.rstrip("_").rpartition("_")[0] == prefix]
    return exact[0] if exact else None


if __name__ == "__main__":
    sys.exit(main())
