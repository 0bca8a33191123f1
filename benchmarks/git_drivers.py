"""Git with the drivers of graphengine, on all documents of a folder: merges, and times.

    python -m benchmarks.git_drivers [FOLDER] [--merges N] [--files N]

Random pairs of edit scripts, of different things and of the same thing, are committed on two branches, one file
for each pair, and merged by `git merge`: each file must come out as `merge_documents` makes it, and be unmerged
exactly when that tells a conflict.

Then `graphengine diff` compares two documents of 300 nodes as a whole process, and `git diff` shows a change of
many files through its driver. Times are seconds of CPU of all processes, and of the clock.
"""

import argparse
import copy
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.diff_merge import Json, edited, edits_of, read_folder, script
from graphengine.cli.known_nodes import known_nodes
from graphengine.cli.pack_folders import PackFolders
from graphengine.workflow.canonical import canonical, text_of
from graphengine.workflow.merging.documents import merge_documents

ROOT = Path(__file__).parents[1]
_CLI = [sys.executable, "-m", "graphengine.cli"]


def environment() -> dict[str, str]:
    """The variables of a process that sees this checkout, and no settings of the user."""
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join((str(ROOT), str(ROOT / "nodes")))
    return {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": path}


def run(folder: Path, *argv: str) -> tuple[int, str]:
    """Run a command; its exit code and what it wrote."""
    done = subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def repository(folder: Path) -> None:
    """Make a repository with the drivers."""
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, *_CLI, "git", "setup")


def commit(folder: Path, files: Mapping[str, Json]) -> None:
    """Commit documents by name."""
    for name, raw in files.items():
        (folder / name).write_text(text_of(raw), encoding="utf-8")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "edit")


def random_pair(raw: Json, chance: random.Random) -> tuple[Json, Json]:
    """Two edits of a document, in half of the cases of one thing both."""
    edits, taken = edits_of(raw, chance), set[str]()
    mine, others = script(edits, taken, chance.randint(1, 4)), script(edits, taken, chance.randint(1, 4))
    contested = [edit for edit in mine if edit.kind in ("value", "title")]
    if contested and chance.random() < 0.5:
        edit = chance.choice(contested)
        others.append(replace(edit, value=f"{edit.value}!" if edit.kind == "title" else edit.value + 1))
    return edited(raw, mine), edited(raw, others)


def check_merges(folder: Path, documents: list[Json], count: int, chance: random.Random) -> bool:
    """Print how many merges of git are those of the library; says whether all are."""
    repository(folder)
    bases = {f"flow{number:04}.json": chance.choice(documents) for number in range(count)}
    pairs = {name: random_pair(raw, chance) for name, raw in bases.items()}
    commit(folder, bases)
    run(folder, "git", "checkout", "-qb", "side")
    commit(folder, {name: canonical(theirs) for name, (_, theirs) in pairs.items()})
    run(folder, "git", "checkout", "-q", "main")
    commit(folder, {name: canonical(ours) for name, (ours, _) in pairs.items()})
    cpu, start = children_cpu(), time.perf_counter()
    run(folder, "git", "merge", "-q", "side")
    cpu, spent = children_cpu() - cpu, time.perf_counter() - start
    unmerged = set(run(folder, "git", "diff", "--name-only", "--diff-filter=U")[1].split())
    known = known_nodes(folder / "flow0000.json", None, PackFolders(folder))
    same = clean = 0
    for name, (ours, theirs) in pairs.items():
        merged = merge_documents(bases[name], ours, theirs, known)
        right = (folder / name).read_text(encoding="utf-8") == text_of(merged.document)
        right = right and (name in unmerged) == bool(merged.conflicts)
        clean += not merged.conflicts
        same += right
        if not right:
            print(f"{name}: git merged it in another way, {len(merged.conflicts)} conflicts")
    print(f"git merge gives the same as the library: {same} of {count} ({clean} clean, {count - clean} conflicts)")
    print(f"git merge of {count} files: {cpu:.1f} s of CPU, {spent:.1f} s")
    return same == count


def children_cpu() -> float:
    """Seconds of CPU of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def large(nodes: int) -> Json:
    """A document of so many nodes, a chain with texts and numbers."""
    made = []
    for number in range(1, nodes + 1):
        link = number - 1 if number > 1 else None
        out = {"name": "STRING", "type": "STRING", "links": [number] if number < nodes else []}
        slot = {"name": "string_a", "type": "STRING", "link": link, "widget": {"name": "string_a"}}
        made.append(
            {
                "id": number, "type": "StringConcatenate", "pos": [40 * number, 100], "size": [300, 200],
                "flags": {}, "order": number, "mode": 0, "inputs": [slot], "outputs": [out],
                "properties": {"Node name for S&R": "StringConcatenate"},
                "widgets_values": ["", f"the text of node {number}, " + "with some words " * 8, ", "],
            }
        )  # fmt: skip
    links = [[number, number, 0, number + 1, 0, "STRING"] for number in range(1, nodes)]
    extra: dict[str, Any] = {"last_node_id": nodes, "last_link_id": nodes - 1, "groups": [], "version": 0.4}
    return {"nodes": made, "links": links, **extra}


def changed(raw: Json, place: int) -> Json:
    """A copy with one value changed."""
    made = copy.deepcopy(raw)
    made["nodes"][place]["widgets_values"][1] += "changed"
    return made


def check_times(folder: Path, files: int) -> bool:
    """Print how long comparisons take; says whether each is as quick as promised."""
    repository(folder)
    base = large(300)
    for name, raw in (("a.json", base), ("b.json", changed(base, 150))):
        (folder / name).write_text(json.dumps(raw), encoding="utf-8")
    run(folder, *_CLI, "diff", "a.json", "b.json")  # writes the index of the packs
    took = []
    for _ in range(5):
        cpu = children_cpu()
        code, out = run(folder, *_CLI, "diff", "a.json", "b.json")
        took.append(children_cpu() - cpu)
        if code or "node 151" not in out:
            print(f"diff exits with {code}: {out[:200]}")
            return False
    documents = {f"flow{number:04}.json": base for number in range(files)}
    commit(folder, documents)
    for name in documents:
        (folder / name).write_text(text_of(changed(base, 7)), encoding="utf-8")
    cpu, start = children_cpu(), time.perf_counter()
    shown = run(folder, "git", "diff")[1].count("+  widget 2 = ")
    cpu, spent = children_cpu() - cpu, time.perf_counter() - start
    print(f"diff of two documents of 300 nodes: {min(took):.2f} s of CPU as a whole process (promised: 0.6)")
    print(f"git diff of {files} files: {cpu:.1f} s of CPU, {spent:.1f} s (promised: 60), {shown} changes shown")
    is_quick = min(took) < 0.6 and cpu < 60  # the clock counts what else the machine does
    return is_quick and shown == files


def main() -> int:
    """Run the checks and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "workflows")
    parser.add_argument("--merges", type=int, default=200)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plain = [canonical(raw) for raw in read_folder(options.folder).values()]
    fit = [raw for raw in plain if raw["nodes"] and all(isinstance(row, list) for row in raw.get("links") or [])]
    print(f"{len(fit)} documents")
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        right = [
            check_times(Path(place) / "times", options.files),
            check_merges(Path(place) / "merges", fit, options.merges, chance),
        ]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
