#!/usr/bin/env python3
"""How many saved workflows have every class and run to their end, with tiny models in place of their own.

    PYTHONPATH=.:nodes python benchmarks/corpus_runs.py FOLDER [--definitions FILE …] [--only NAME …] [--steps N]

FOLDER holds workflows (`*.json`), or sub-folders with an api.json or ui.json each. Models that a workflow names
are replaced by tiny random ones of the family that the name, the loader and the other nodes tell, under the same
names (a `.ckpt`, `.pth` or `.pt` becomes `.safetensors`); pictures, videos and sounds that it reads are made.
Sizes come down to about 128 pixels, videos to 9 frames, steps to N, so that a workflow takes seconds; all else
stays. `--definitions` names files with the core classes: only workflows of these alone are counted.

An API document that lacks an input is refused, as by ComfyUI. The editor's document beside it, whose new inputs
get their defaults, runs in its place, and the output says so.
"""

import argparse
import collections
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.corpus.documents import core_classes, documents
from benchmarks.corpus.placing import Shelf
from benchmarks.corpus.running import Outcome, attempt


def shares(outcomes: list[Outcome]) -> str:
    """The lines at the end: how many documents have every class, and how many of those ran."""
    counted = [outcome for outcome in outcomes if outcome.core]
    complete = [outcome for outcome in counted if not outcome.missing]
    ran = [outcome for outcome in complete if outcome.ran]
    lines = [
        f"{len(counted)} of {len(outcomes)} documents have core classes only",
        f"every class exists: {len(complete)} of {len(counted)} ({_share(complete, counted)})",
        f"ran to their end: {len(ran)} of {len(complete)} ({_share(ran, complete)})",
    ]
    missing = collections.Counter(name for outcome in counted for name in outcome.missing)
    lines += [f"  missing in {times}: {name}" for name, times in missing.most_common()]
    return "\n".join(lines)


def _share(part: list[Outcome], whole: list[Outcome]) -> str:
    return f"{len(part) / max(1, len(whole)):.1%}"


def main() -> None:
    """Run all documents in this process and print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--definitions", type=Path, nargs="+", help="files that list the core classes")
    parser.add_argument("--only", nargs="+", help="names of documents")
    parser.add_argument("--steps", type=int, default=2, help="sampling steps that are left of more")
    args = parser.parse_args()
    core = core_classes(args.definitions) if args.definitions else None
    wanted = [document for document in documents(args.folder) if not args.only or document.name in args.only]
    started, outcomes = time.perf_counter(), []
    with TemporaryDirectory(prefix="corpus-models-") as made:
        shelf = Shelf(Path(made))
        for document in wanted:
            outcome = attempt(document, shelf, core, args.steps)
            if outcome is None:
                continue
            outcomes.append(outcome)
            if outcome.core:
                print(outcome, flush=True)
    print(
        f"\n{shares(outcomes)}\n{time.perf_counter() - started:.0f} s; sizes, frames and steps were made smaller"
    )


if __name__ == "__main__":
    main()
