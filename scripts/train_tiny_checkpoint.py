"""Train the tiny text-to-image checkpoint from public pictures, stage by stage.

    python scripts/train_tiny_checkpoint.py data         fetch the pictures, build the data set
    python scripts/train_tiny_checkpoint.py autoencoder  train the autoencoder
    python scripts/train_tiny_checkpoint.py diffusion    train UNet and text tower
    python scripts/train_tiny_checkpoint.py export       write the checkpoint
    python scripts/train_tiny_checkpoint.py status       say how far the training is

The two training stages may be stopped at any moment; the same command goes on from the last save.
Needs npm (or --emoji), torch, diffusers and Pillow; about two hours on two processor cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tiny_checkpoint import autoencoder, data, diffusion, export, inputs

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "nodes/graphengine_nodes/models/checkpoints/graphengine_tiny.safetensors"


def main() -> None:
    """Run the stage that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("data", "autoencoder", "diffusion", "export", "status"))
    parser.add_argument("--work", type=Path, default=ROOT / "build/tiny", help="folder of data, states and log")
    parser.add_argument("--emoji", type=Path, help="folder of unpacked npm packages, instead of fetching them")
    parser.add_argument("--steps", type=int, help="total steps of the stage; may be changed between two starts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=Path, default=TARGET, help="where to write the checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    match arguments.stage:
        case "data":
            prepare(arguments.work, arguments.emoji)
        case "autoencoder":
            autoencoder.train(arguments.work, arguments.steps or autoencoder.STEPS)
        case "diffusion":
            diffusion.train(arguments.work, arguments.steps or diffusion.STEPS)
        case "export":
            export.export(arguments.work, arguments.target)
        case "status":
            report(arguments.work)


def prepare(work: Path, emoji: Path | None) -> None:
    """Build the data set and the input pictures of the example workflows."""
    data.build(emoji or data.download(work / "npm"), work / "data.pt")
    inputs.write(data.load(work / "data.pt"), ROOT / "workflows/input")


def report(work: Path) -> None:
    """Print the last line of the log of each stage."""
    last: dict[str, dict[str, object]] = {}
    log = work / "log.jsonl"
    for text in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        line = json.loads(text)
        last[line["stage"]] = line
    for line in last.values():
        print(" ".join(f"{key}={value}" for key, value in line.items()))


if __name__ == "__main__":
    main()
