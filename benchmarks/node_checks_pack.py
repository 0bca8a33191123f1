"""How long `graphengine test` takes for a generated pack with 100 nodes, and what the plugin costs other tests.

    python benchmarks/node_checks_pack.py [--nodes 100]

The nodes are of ten kinds: pictures, masks, latents, texts, numbers, sounds, conditionings, sampling, encoding and
sigmas. Exits with 1 when there are findings or the pack takes a minute or more.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

_CLASS = """
class {name}:
    CATEGORY = "generated"
    RETURN_TYPES = ("{output}",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        amount = ("FLOAT", {{"default": 0.5, "min": 0.0, "max": 1.0}})
        return {{"required": {{"value": ("{given}",), "amount": amount}}}}

    def run(self, value, amount):
        return ({result},)
"""
_KINDS = (
    ("IMAGE", "IMAGE", "value * amount"),
    ("MASK", "MASK", "1.0 - value * amount"),
    ("LATENT", "LATENT", "{**value, 'samples': value['samples'] * amount}"),
    ("STRING", "STRING", "value.upper()"),
    ("INT", "FLOAT", "value * amount"),
    ("AUDIO", "AUDIO", "{**value, 'waveform': value['waveform'] * amount}"),
    ("CONDITIONING", "CONDITIONING", "[[text * amount, dict(options)] for text, options in value]"),
    ("CLIP", "CONDITIONING", "value.encode_from_tokens_scheduled(value.tokenize(f'a tree {amount}'))"),
    ("VAE", "IMAGE", "value.decode(torch.zeros(1, 4, 4, 4) + amount)"),
    ("SIGMAS", "SIGMAS", "value * amount"),
)


def write_pack(file: Path, nodes: int) -> None:
    """Write a pack with so many nodes."""
    parts = ["import torch\n"]
    for index in range(nodes):
        given, output, result = _KINDS[index % len(_KINDS)]
        parts.append(_CLASS.format(name=f"Node{index}", given=given, output=output, result=result))
    names = ", ".join(f'"Node{index}": Node{index}' for index in range(nodes))
    file.write_text("".join([*parts, f"\n\nNODE_CLASS_MAPPINGS = {{{names}}}\n"]))


def time_of_empty_run(folder: Path, *options: str) -> float:
    """The seconds that pytest takes for one empty test, the median of five processes."""
    (folder / "test_empty.py").write_text("def test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    times = []
    for _ in range(5):
        start = perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        times.append(perf_counter() - start)
    return median(times)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    count = parser.parse_args().nodes
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_pack(folder / "generated.py", count)
        start = perf_counter()
        program = "import sys; from graphengine.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", program, "test", "generated.py"], cwd=folder, env={**os.environ}
        )
        seconds = perf_counter() - start
        used = getrusage(RUSAGE_CHILDREN)
        print(
            f"{count} nodes: {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of the processors", flush=True
        )
        off = ["-p", "no:graphengine.testing.plugin"]
        without = time_of_empty_run(folder, *off)
        beside = time_of_empty_run(folder, "-p", "graphengine.testing.plugin")
        print(
            f"an empty run of pytest: {without * 1000:.0f} ms without the plugin, {beside * 1000:.0f} ms with it"
        )
    return 1 if done.returncode or seconds >= 60 else 0


if __name__ == "__main__":
    sys.exit(main())
